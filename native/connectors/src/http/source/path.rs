//! Paths with parameters, such as `/orders/{id}`, and which of several that fit a request takes.
//!
//! Where the paths first differ, from left to right, a fixed part comes before a parameter: `/orders/new` before
//! `/orders/{id}`, and `/{kind}/{id}` last. A parameter is one part of the path, never empty and never two.

use std::cmp::Ordering;
use std::sync::Arc;

use message::{Code, Fault};
use percent_encoding::percent_decode_str;

use super::routes::Route;

/// Bytes of a path.
pub(super) const MAX_LENGTH: usize = 512;
/// Parameters of one path.
const MAX_PARAMETERS: usize = 8;
const MAX_NAME: usize = 64;

/// A path with parameters, and its route.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    pub(super) route: Arc<Route>,
}

#[derive(Clone, Debug)]
enum Part {
    Fixed(Box<str>),
    Parameter(Box<str>),
}

/// Name and value of each parameter of a path, as they stand in the request.
pub(super) type Parameters = Vec<(Box<str>, Box<str>)>;

/// Whether a path has parameters.
pub(super) fn has_parameters(path: &str) -> bool {
    path.contains(['{', '}'])
}

/// The path with a plain letter for each parameter: what is left has to be a path that can be served.
///
/// # Errors
/// The reason, when a parameter is none.
fn without_parameters(path: &str) -> Result<String, &'static str> {
    let parts = parse(path)?;
    let plain = parts.iter().map(|part| match part {
        Part::Fixed(text) => text,
        Part::Parameter(_) => "x",
    });
    Ok(plain.collect::<Vec<_>>().join("/"))
}

/// The names of a path's parameters, in order; none of a path that cannot be served.
#[must_use]
pub fn parameters(path: &str) -> Vec<Box<str>> {
    let parts = parse(path).unwrap_or_default();
    let named = parts.into_iter().filter_map(|part| match part {
        Part::Fixed(_) => None,
        Part::Parameter(name) => Some(name),
    });
    named.collect()
}

/// The same for all paths that differ in the names of their parameters alone: one pipeline of a customer has it.
///
/// # Errors
/// The reason, when no route can have the path.
pub fn shape(path: &str) -> Result<String, &'static str> {
    check_path(&without_parameters(path)?)?;
    let parts = parse(path)?;
    let shaped = parts.iter().map(|part| match part {
        Part::Fixed(text) => text,
        Part::Parameter(_) => "{}",
    });
    Ok(shaped.collect::<Vec<_>>().join("/"))
}

fn parse(path: &str) -> Result<Vec<Part>, &'static str> {
    let mut names = Vec::new();
    let mut part = |text: &str| match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        None if has_parameters(text) => Err("has braces; a parameter such as `{id}` is a whole part of a path"),
        None => Ok(Part::Fixed(text.into())),
        Some(name) if !is_name(name) => {
            Err("has a parameter whose name is not 1 to 64 letters, digits, `_` or inner `-`")
        }
        Some(name) if names.iter().any(|other: &String| other.eq_ignore_ascii_case(name)) => {
            Err("has two parameters of one name")
        }
        Some(name) => {
            names.push(name.to_owned());
            Ok(Part::Parameter(name.into()))
        }
    };
    let parts = path.split('/').map(&mut part).collect::<Result<Vec<_>, _>>()?;
    if names.len() > MAX_PARAMETERS { Err("has more than 8 parameters") } else { Ok(parts) }
}

fn is_name(name: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// Paths are compared byte by byte, so only those are allowed that have one way to be written.
fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("has to start with `/`");
    }
    if path.len() > MAX_LENGTH {
        return Err("is longer than 512 bytes");
    }
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b)) {
        return Err("may hold only letters, digits and the signs of a URL's path");
    }
    if path.split('/').skip(1).any(|part| matches!(part, "." | "..")) || path.contains("//") {
        return Err("may not hold empty parts, `.` or `..`");
    }
    Ok(())
}

impl Pattern {
    /// # Errors
    /// The reason, when a parameter is none.
    pub(super) fn new(path: &str, route: Arc<Route>) -> Result<Pattern, &'static str> {
        Ok(Pattern { parts: parse(path)?, route })
    }

    /// The order in which patterns are tried. Equal are those that take the same paths, whatever their parameters are called.
    pub(super) fn order(&self, other: &Pattern) -> Ordering {
        let each = self.parts.iter().zip(&other.parts).map(|(one, another)| match (one, another) {
            (Part::Fixed(one), Part::Fixed(another)) => one.cmp(another),
            (Part::Fixed(_), Part::Parameter(_)) => Ordering::Less,
            (Part::Parameter(_), Part::Fixed(_)) => Ordering::Greater,
            (Part::Parameter(_), Part::Parameter(_)) => Ordering::Equal,
        });
        each.fold(self.parts.len().cmp(&other.parts.len()), Ordering::then)
    }

    /// Whether this is the pattern of such a path.
    pub(super) fn is_at(&self, path: &str) -> bool {
        Pattern::new(path, Arc::clone(&self.route)).is_ok_and(|other| self.order(&other).is_eq())
    }

    /// The parameters of a path, split at its slashes, when it fits.
    pub(super) fn fit(&self, parts: &[&str]) -> Option<Parameters> {
        let fits = |(part, text): (&Part, &&str)| match part {
            Part::Fixed(fixed) => **fixed == **text,
            Part::Parameter(_) => !matches!(*text, "" | "." | ".."),
        };
        if self.parts.len() != parts.len() || !self.parts.iter().zip(parts).all(fits) {
            return None;
        }
        let named = self.parts.iter().zip(parts).filter_map(|(part, text)| match part {
            Part::Fixed(_) => None,
            Part::Parameter(name) => Some((name.clone(), Box::from(*text))),
        });
        Some(named.collect())
    }
}

/// The value of a parameter as it is meant: `%20` is a blank.
///
/// # Errors
/// `http/bad-request` for what no header could carry, or is a step in a path once it is decoded.
pub(super) fn decoded(name: &str, value: &str) -> Result<String, Fault> {
    let refused = |reason: &str| Fault::new(Code::HttpBadRequest, format!("the part {{{name}}} of the path {reason}"));
    let text = percent_decode_str(value).decode_utf8().map_err(|_| refused("is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refused("has a control character"));
    }
    if matches!(&*text, "." | "..") {
        return Err(refused("must not be `.` or `..`"));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_a_whole_part_with_a_name_of_its_own() {
        assert_eq!(without_parameters("/orders/{id}/lines/{line-no}").unwrap(), "/orders/x/lines/x");
        for bad in [
            "/{}",
            "/{",
            "/}",
            "/a{id}",
            "/{id}b",
            "/{a}{b}",
            "/{{id}}",
            "/{-a}",
            "/{a b}",
            "/{ä}",
            "/{id}/{ID}",
            "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}",
            &format!("/{{{}}}", "x".repeat(65)),
        ] {
            assert!(without_parameters(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_shape_is_the_path_without_the_names_of_its_parameters() {
        assert_eq!(shape("/orders/{id}/x"), shape("/orders/{no}/x"));
        assert_eq!(shape("/orders/{id}").unwrap(), "/orders/{}");
        assert_eq!(parameters("/a/{id}/{line-no}"), [Box::from("id"), "line-no".into()]);
        assert!(shape("/a b/{id}").is_err() && shape("{id}").is_err() && parameters("/{").is_empty());
    }

    #[test]
    fn a_value_is_decoded_and_carries_nothing_that_a_header_cannot() {
        assert_eq!(decoded("id", "a%20b+c%2Fd%C3%A9").unwrap(), "a b+c/d\u{e9}");
        for bad in ["%0d%0aX: y", "%00", "%ff", "%2e", "%2E.", "%c2%85"] {
            assert_eq!(decoded("id", bad).unwrap_err().code(), Code::HttpBadRequest, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_path_is_no_step_gets_through(path in "[/{}.a%20-]{0,20}", value in "\\PC{0,20}") {
            let _ = without_parameters(&path);
            if let Ok(text) = decoded("id", &value) {
                prop_assert!(!text.chars().any(char::is_control) && text != "..");
            }
        }
    }
}
