//! What is signed, such as `{timestamp}.{body}`.

use message::Fault;

use super::boundary::Beside;
use super::invalid;

/// Bytes.
const MAX_LENGTH: usize = 1024;

/// What is signed before the body, and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    before: Vec<Part>,
    after: Vec<Part>,
    /// The values before the body, each with what follows it; those after the body, each with what precedes it.
    values: [Vec<(Value, Beside)>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Value),
}

/// A placeholder that a header of the request fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Timestamp,
    Id,
}

impl Template {
    /// # Errors
    /// `config/invalid-value` unless `{body}` stands there once and every other placeholder is known.
    pub(super) fn parse(text: &str) -> Result<Template, Fault> {
        if text.len() > MAX_LENGTH {
            return Err(invalid(format!("what is signed is longer than {MAX_LENGTH} bytes")));
        }
        let (before, after) =
            text.split_once("{body}").ok_or_else(|| invalid("it has no `{body}`: then nothing would be signed"))?;
        let (before, after) = (parts(before)?, parts(after)?);
        let values = [values(before.iter().rev(), str::chars), values(after.iter(), |text| text.chars().rev())];
        Ok(Template { before, after, values })
    }

    pub(super) fn needs_timestamp(&self) -> bool {
        self.has(Value::Timestamp)
    }

    pub(super) fn needs_id(&self) -> bool {
        self.has(Value::Id)
    }

    fn has(&self, value: Value) -> bool {
        self.before.iter().chain(&self.after).any(|part| *part == Part::Value(value))
    }

    /// Before the body, with what follows each; after the body, with what precedes it.
    pub(super) fn values(&self) -> [&[(Value, Beside)]; 2] {
        self.values.each_ref().map(Vec::as_slice)
    }

    /// What is signed before the body, and what after it.
    pub(super) fn around(&self, timestamp: &str, id: &str) -> (Vec<u8>, Vec<u8>) {
        let written = |parts: &[Part]| {
            let texts = parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Value(Value::Timestamp) => timestamp,
                Part::Value(Value::Id) => id,
            });
            texts.collect::<String>().into_bytes()
        };
        (written(&self.before), written(&self.after))
    }
}

/// `outwards`: the parts of one side, beginning at the body. `towards`: a text's characters, beginning at the value.
fn values<'a, C: Iterator<Item = char>>(
    outwards: impl Iterator<Item = &'a Part>,
    towards: impl Fn(&'a str) -> C,
) -> Vec<(Value, Beside)> {
    let (mut values, mut beside) = (Vec::new(), Beside::Body);
    for part in outwards {
        beside = match part {
            Part::Text(text) => towards(text).next().map_or(beside, Beside::Character),
            Part::Value(value) => {
                values.push((*value, beside));
                Beside::Value
            }
        };
    }
    values.reverse();
    values
}

fn parts(text: &str) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((fixed, more)) = rest.split_once('{') {
        let (name, more) = more.split_once('}').ok_or_else(|| invalid("it has a `{` without its `}`"))?;
        parts.push(Part::Text(fixed.to_owned()));
        parts.push(match name {
            "timestamp" => Part::Value(Value::Timestamp),
            "id" => Part::Value(Value::Id),
            "body" => return Err(invalid("it has `{body}` twice")),
            _ => {
                return Err(invalid(format!(
                    "it may have {{timestamp}}, {{id}} and {{body}}, not {{{}}}",
                    name.escape_debug()
                )));
            }
        });
        rest = more;
    }
    parts.push(Part::Text(rest.to_owned()));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_body_stands_where_the_template_says() {
        let around = |text: &str| {
            let (before, after) = Template::parse(text).unwrap().around("17", "m");
            [before, after].map(|part| String::from_utf8(part).unwrap())
        };
        assert_eq!(around("{body}"), ["", ""]);
        assert_eq!(around("v0:{timestamp}:{body}"), ["v0:17:", ""]);
        assert_eq!(around("{id}.{timestamp}.{body}"), ["m.17.", ""]);
        assert_eq!(around("{body}https://a.example/{id}}"), ["", "https://a.example/m}"]);
        for bad in ["", "{timestamp}", "{body}{body}", "{body}{nonce}", "{id{body}", "{body}{", "{}{body}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert!(Template::parse(&format!("{}{{body}}", "x".repeat(1_100))).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(text in "[{}a-z.]{0,20}(\\{body\\})?[{}idtmesap]{0,12}") {
            let _ = Template::parse(&text);
        }
    }
}
