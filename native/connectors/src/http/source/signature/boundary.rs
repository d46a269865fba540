//! Where the time and the id end in what is signed.
//!
//! A sender signs one text: `m9.1700000000.{"a":1}`. The headers say which part of it is the id. Somebody who has got hold of
//! the request must not move a boundary: the id `m9.1700000000` with the rest of the body would have the same signature. So
//! each value has to end where the template says, and nowhere else:
//!
//! | beside the value | the id | the time |
//! |---|---|---|
//! | text | does not have the text's character there | is digits; without a tolerance RFC 3339, or does not have it either |
//! | the body | is letters, digits and `-_.:=+/`, and the body goes on with another character | is digits, and the body goes on with none, or RFC 3339 |
//! | the time | has no time in RFC 3339 in it | is RFC 3339 |
//!
//! A time in RFC 3339 ends by itself: no such time is the beginning or the end of another.

use message::Fault;

use super::invalid;
use super::template::{Template, Value};

/// What stands between a value and the body's side of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Character(char),
    Body,
    Value,
}

/// What the body must not have beside a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forbidden {
    Nothing,
    Digit,
    IdCharacter,
}

/// Digits of a time that is never read as the year of RFC 3339.
const LEAST_DIGITS: usize = 5;
const IN_RFC_3339: &str = "-:.TZ+";
const DAY_AND_TIME: &[u8] = b"dddd-dd-ddTdd:dd:dd";
const OFFSET: &[u8] = b"dd:dd";
const MAX_FRACTION: usize = 9;

impl Forbidden {
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Forbidden::Nothing => false,
            Forbidden::Digit => byte.is_ascii_digit(),
            Forbidden::IdCharacter => is_of_id(byte),
        }
    }
}

/// Whether the boundaries can be told at all. `timed`: times are compared with the clock, so they are digits.
///
/// # Errors
/// `config/invalid-value`
pub(super) fn check_template(template: &Template, timed: bool) -> Result<(), Fault> {
    let [before, after] = template.values();
    let touches = |values: &[(Value, Beside)]| values.iter().any(|(_, beside)| *beside == Beside::Body);
    if touches(before) && touches(after) {
        return Err(invalid("it has a value right before and right after `{body}`: put text between them"));
    }
    let joined = |values: &[(Value, Beside)]| values.iter().any(|(_, beside)| *beside == Beside::Value);
    let is_id_and_time = matches!(before, [(Value::Id, Beside::Value), (Value::Timestamp, _)]);
    if joined(after) || joined(before) && (timed || !is_id_and_time) {
        return Err(invalid(
            "it has two values without text between them, so that nobody can tell where the first one ends; \
             only `{id}{timestamp}` before the body is taken, with `tolerance: none` and times in RFC 3339",
        ));
    }
    let is_in_digits = |(value, beside): &(Value, Beside)| {
        *value == Value::Timestamp && matches!(beside, Beside::Character(at) if at.is_ascii_digit())
    };
    if before.iter().chain(after).any(is_in_digits) {
        return Err(invalid("it has a digit right beside `{timestamp}`: nobody can tell where the time ends"));
    }
    Ok(())
}

/// Whether the values of one request end where the template says.
///
/// # Errors
/// The value that cannot be taken, and why.
pub(super) fn check_values(template: &Template, timed: bool, time: &str, id: &str) -> Result<(), (Value, String)> {
    for (value, beside) in template.values().into_iter().flatten() {
        let checked = match value {
            Value::Id => check_id(*beside, time, id),
            // Digits, which the clock's check has seen to; no digit is beside them.
            Value::Timestamp if timed => Ok(()),
            Value::Timestamp => check_time(*beside, time),
        };
        checked.map_err(|reason| (*value, reason))?;
    }
    Ok(())
}

/// What the body's first and its last byte must not be.
pub(super) fn forbidden(template: &Template, time: &str) -> [Forbidden; 2] {
    template.values().map(|values| match values.iter().find(|(_, beside)| *beside == Beside::Body) {
        Some((Value::Id, _)) => Forbidden::IdCharacter,
        Some((Value::Timestamp, _)) if !is_rfc_3339(time) => Forbidden::Digit,
        _ => Forbidden::Nothing,
    })
}

fn check_id(beside: Beside, time: &str, id: &str) -> Result<(), String> {
    match beside {
        Beside::Character(end) if id.contains(end) => {
            Err(format!("has `{}`, by which it ends in what is signed", end.escape_debug()))
        }
        Beside::Body if !id.bytes().all(is_of_id) => {
            Err("has other characters than letters, digits and `-_.:=+/`, and is signed right beside the body".into())
        }
        Beside::Value if !is_rfc_3339(time) => {
            Err("is signed right before the time, which is not written in RFC 3339".into())
        }
        Beside::Value => {
            let both = [id, time].concat();
            let has_time = (0..id.len()).any(|at| rfc_3339(&both.as_bytes()[at..]).is_some());
            if has_time { Err("has a time in it, and is signed right before the time".into()) } else { Ok(()) }
        }
        Beside::Character(_) | Beside::Body => Ok(()),
    }
}

fn check_time(beside: Beside, time: &str) -> Result<(), String> {
    let is_digits = time.len() >= LEAST_DIGITS && time.bytes().all(|byte| byte.is_ascii_digit());
    let (is_told, wanted) = match beside {
        Beside::Character(end) if !IN_RFC_3339.contains(end) => {
            (!time.contains(end), "text without what ends it there")
        }
        _ => (is_digits || is_rfc_3339(time), "a time in digits or in RFC 3339"),
    };
    if is_told {
        Ok(())
    } else {
        Err(format!("is not {wanted}, so that nobody can tell where it ends in what is signed"))
    }
}

fn is_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte)
}

fn is_rfc_3339(text: &str) -> bool {
    rfc_3339(text.as_bytes()) == Some(text.len())
}

/// Bytes of the time at the beginning of the text, such as `2023-11-14T22:13:20.5Z`.
fn rfc_3339(text: &[u8]) -> Option<usize> {
    let is = |pattern: &[u8], at: usize| {
        let fits = |(wanted, byte): (&u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { wanted == byte };
        text.get(at..at + pattern.len()).is_some_and(|part| pattern.iter().zip(part).all(fits))
    };
    if !is(DAY_AND_TIME, 0) {
        return None;
    }
    let mut end = DAY_AND_TIME.len();
    if text.get(end) == Some(&b'.') {
        let digits = text[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=MAX_FRACTION).contains(&digits) {
            return None;
        }
        end += 1 + digits;
    }
    match text.get(end) {
        Some(b'Z') => Some(end + 1),
        Some(b'+' | b'-') if is(OFFSET, end + 1) => Some(end + 1 + OFFSET.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_of_rfc_3339_is_known_and_ends_by_itself() {
        let times = ["2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20+01:00"];
        for time in times {
            assert!(is_rfc_3339(time), "{time}");
            assert_eq!(rfc_3339(format!("{time}5Z+00:00").as_bytes()), Some(time.len()));
            assert!((1..time.len()).all(|at| !is_rfc_3339(&time[at..]) && !is_rfc_3339(&time[..at])), "{time}");
        }
        for other in ["", "2023", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14T22:13:20.Z", "2023-11-14t22:13:20z"]
        {
            assert!(!is_rfc_3339(other), "{other}");
        }
    }

    #[test]
    fn a_template_whose_values_cannot_be_told_apart_is_refused() {
        for (text, timed) in [
            ("{id}{timestamp}{body}", true),
            ("{timestamp}{id}.{body}", false),
            ("{id}{id}{body}", false),
            ("{id}.{id}{timestamp}{body}", false),
            ("{body}{id}{timestamp}", false),
            ("{id}{body}{timestamp}", true),
            ("{timestamp}0{body}", true),
            ("{body}0{timestamp}", false),
        ] {
            assert!(check_template(&Template::parse(text).unwrap(), timed).is_err(), "{text}");
        }
        for (text, timed) in [
            ("{body}", false),
            ("{id}.{timestamp}.{body}", true),
            ("v0:{timestamp}:{body}", false),
            ("{id}{timestamp}{body}", false),
            ("{timestamp}{body}.{id}", true),
            ("POSThttps://a.example/{body}{timestamp}", true),
        ] {
            assert!(check_template(&Template::parse(text).unwrap(), timed).is_ok(), "{text}");
        }
    }

    /// Texts made of what could be a value, a boundary or a body.
    fn texts() -> impl Strategy<Value = String> {
        let pieces = ["m", "9", ".", ":", "-", "17000", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20+01:00", "{", "}"];
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..5).prop_map(|parts| parts.concat())
    }

    const TEMPLATES: [&str; 11] = [
        "{id}.{timestamp}.{body}",
        "v0:{timestamp}:{body}",
        "{timestamp}{body}",
        "{id}{body}",
        "{id}{timestamp}{body}",
        "{id}{timestamp}.{body}",
        "{id}-{timestamp}{body}",
        "{body}{timestamp}",
        "{body}{id}",
        "{body}.{id}.{timestamp}",
        "{id}.{body}-{timestamp}",
    ];

    /// Whether a request with these values and this body would be taken, when its signature is right.
    fn is_taken(template: &Template, timed: bool, time: &str, id: &str, body: &str) -> bool {
        let is_time = !timed || !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
        let [first, last] = forbidden(template, time);
        let edges = [(first, body.bytes().next()), (last, body.bytes().last())];
        let is_bounded = edges.iter().all(|(forbidden, byte)| byte.is_none_or(|byte| !forbidden.has(byte)));
        is_time && !id.is_empty() && check_values(template, timed, time, id).is_ok() && is_bounded
    }

    fn times() -> impl Strategy<Value = String> {
        let times = ["17000", "170009", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5+01:00", "Tuesday"];
        proptest::sample::select(times.to_vec()).prop_map(str::to_owned)
    }

    /// A way to read what was signed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Cut<'a> {
        time: &'a str,
        id: &'a str,
        body: &'a str,
    }

    /// Calls `on_cut` for each way in which `signed` can be what the template says. What is not signed stays as it is.
    fn cut<'a>(template: &str, signed: &'a str, cut_so_far: Cut<'a>, on_cut: &mut dyn FnMut(Cut<'a>)) {
        if template.is_empty() && signed.is_empty() {
            on_cut(cut_so_far);
        }
        for name in ["{timestamp}", "{id}", "{body}"] {
            let Some(rest) = template.strip_prefix(name) else { continue };
            for end in 0..=signed.len() {
                let (value, signed) = signed.split_at(end);
                let cut_so_far = match name {
                    "{timestamp}" => Cut { time: value, ..cut_so_far },
                    "{id}" => Cut { id: value, ..cut_so_far },
                    _ => Cut { body: value, ..cut_so_far },
                };
                cut(rest, signed, cut_so_far, on_cut);
            }
            return;
        }
        if template.chars().next().is_some_and(|first| signed.starts_with(first)) {
            cut(&template[1..], &signed[1..], cut_so_far, on_cut);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

        /// Brute force: all ways to cut what was signed into an id, a time and a body.
        #[test]
        fn what_was_signed_is_taken_in_one_way_only(
            template in proptest::sample::select(TEMPLATES.to_vec()),
            timed in any::<bool>(),
            time in times(),
            [id, body] in [texts(), texts()],
        ) {
            let parsed = Template::parse(template).unwrap();
            prop_assume!(check_template(&parsed, timed).is_ok());
            prop_assume!(is_taken(&parsed, timed, &time, &id, &body));
            let signed = template.replace("{timestamp}", &time).replace("{id}", &id).replace("{body}", &body);
            let own = Cut { time: &time, id: &id, body: &body };
            let mut found = 0;
            cut(template, &signed, own, &mut |cut| {
                if is_taken(&parsed, timed, cut.time, cut.id, cut.body) {
                    assert_eq!(cut, own, "{signed}");
                    found += 1;
                }
            });
            prop_assert_eq!(found, 1);
        }
    }
}
