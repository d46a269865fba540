//! The URL of an out, with placeholders: `https://erp.example/orders/{order.id}`.
//!
//! A placeholder is a field path in braces; it may stand in the path or the query, never where it
//! would choose the server. Its value is percent-encoded, all but unreserved characters, so it
//! cannot add a segment, a parameter or a header. Values that are empty, `.`, `..` or lead up
//! through slashes, and those with control characters, make no URL.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::Uri;
use message::{Code, Fault, Path};

use super::guard::numeric_host;
use crate::placeholders::{Part, Parts, Wrong};

/// Bytes of a finished URL.
const MAX_LENGTH: usize = 8 << 10;

/// A parsed template. Cheap to render: literals are checked once, here.
#[derive(Clone, Debug)]
pub struct UrlTemplate {
    text: Box<str>,
    /// `https://erp.example:8443`; a prefix of `text`.
    origin: usize,
    parts: Parts,
}

impl UrlTemplate {
    /// `config/invalid-value`, with the column, unless it is an absolute http or https URL with a
    /// host, without userinfo and fragment, whose placeholders stand in path or query.
    pub fn parse(text: &str) -> Result<UrlTemplate, Fault> {
        if text.len() > MAX_LENGTH {
            return Err(invalid(text, 0, "is longer than 8 KiB"));
        }
        let origin = check_origin(text)?;
        let parts = parse_parts(text, origin)?;
        let template = UrlTemplate { text: text.into(), origin, parts };
        template.check_segments(text)?;
        Ok(template)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, as they were written.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.text[..self.origin]
    }

    /// The fields it reads, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.parts.paths()
    }

    /// Whether every message goes to the same URL.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.paths().next().is_none()
    }

    /// The URL of one message. `value` gives a field's text, or `None` when the message has no
    /// such field or it is no scalar. `http/bad-url` names the field.
    pub fn render<'a>(&self, value: impl FnMut(&Path) -> Option<Cow<'a, str>>) -> Result<String, Fault> {
        let mut url = String::with_capacity(self.text.len() + 32);
        url.push_str(self.origin());
        self.parts.render(&mut url, Code::HttpBadUrl, value, |url, text| {
            check_value(text)?;
            encode(url, text);
            Ok(())
        })?;
        self.check_rendered(&url)?;
        Ok(url)
    }

    /// A value and the text around it can make what neither is alone: `.` before `{x}`.
    fn check_rendered(&self, url: &str) -> Result<(), Fault> {
        let reason = if url.len() > MAX_LENGTH {
            "the URL is longer than 8 KiB"
        } else if dotted_segment(path_of(&url[self.origin..])).is_some() {
            "the URL's path has a part that is `.` or `..`"
        } else {
            return Ok(());
        };
        let field = self.paths().next().map(ToString::to_string).unwrap_or_default();
        Err(Fault::new(Code::HttpBadUrl, reason).in_field(field))
    }

    fn check_segments(&self, text: &str) -> Result<(), Fault> {
        let mut skeleton = String::new();
        for part in self.parts.iter() {
            match part {
                Part::Literal(text) => skeleton.push_str(text),
                // Any value at all makes the segment another one.
                Part::Field(_) => skeleton.push('x'),
            }
        }
        match dotted_segment(path_of(&skeleton)) {
            Some(_) => Err(invalid(text, self.origin, "has a part that is `.` or `..`")),
            None => Ok(()),
        }
    }
}

/// The end of scheme and authority, which are checked as a whole.
fn check_origin(text: &str) -> Result<usize, Fault> {
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| invalid(text, 0, "has to start with http:// or https://"))?;
    if scheme.contains('{') {
        return Err(invalid(text, 0, "has a placeholder in its scheme"));
    }
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(invalid(text, 0, "has to start with http:// or https://"));
    }
    let start = scheme.len() + 3;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let end = start + authority.len();
    // A `{` here may reach over a `/` in a quoted name; it is wrong either way.
    if let Some(at) = authority.find(['{', '}']) {
        return Err(invalid(text, start + at, "has a placeholder in its host; only path and query may have them"));
    }
    if authority.contains('@') {
        return Err(invalid(text, start, "has a user name or password; use `headers` or `auth`"));
    }
    let uri = text[..end].parse::<Uri>().map_err(|_| invalid(text, start, "has an unusable host or port"))?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| invalid(text, start, "has no host"))?;
    if port(&uri).is_none() {
        return Err(invalid(text, start, "has an unusable port"));
    }
    if numeric_host(host) {
        return Err(invalid(text, start, "has a host that is a number in disguise; write an address as a.b.c.d"));
    }
    Ok(end)
}

/// The port that is dialled. `None` when it is unusable: `Uri` itself reads `:99999` as no port.
pub(super) fn port(url: &Uri) -> Option<u16> {
    let (authority, host) = (url.authority()?.as_str(), url.host()?);
    let after_user = authority.rsplit('@').next().unwrap_or_default();
    match after_user.get(host.len()..)?.strip_prefix(':') {
        None if url.scheme_str() == Some("https") => Some(443),
        None => Some(80),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|port| *port != 0),
        Some(_) => None,
    }
}

fn parse_parts(text: &str, origin: usize) -> Result<Parts, Fault> {
    let parts = Parts::parse(text, origin, check_literal).map_err(|wrong| wrong.fault("the URL", text))?;
    if let Some(Part::Field(_)) = parts.iter().next() {
        return Err(invalid(text, origin, "has a placeholder in its host; only path and query may have them"));
    }
    Ok(parts)
}

/// The characters of RFC 3986; anything else has to be percent-encoded by whoever writes it.
fn check_literal(text: &str) -> Result<(), Wrong> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let fine = match byte {
            b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
            b'#' => return Err(Wrong { at, reason: "has a fragment, which no server sees" }),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
        };
        if !fine {
            return Err(Wrong { at, reason: "has a character that has to be percent-encoded" });
        }
    }
    Ok(())
}

fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// The first segment that servers and proxies would resolve away, in any of its spellings.
fn dotted_segment(path: &str) -> Option<&str> {
    path.split('/').find(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

fn check_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("the value is empty");
    }
    if text.chars().any(char::is_control) {
        return Err("the value has control characters");
    }
    // Encoded slashes are decoded by some servers before they resolve the path.
    if text.split(['/', '\\']).any(|part| part == "." || part == "..") {
        return Err("the value is, or has a part that is, `.` or `..`");
    }
    if text.len() > MAX_LENGTH {
        return Err("the value is longer than 8 KiB");
    }
    Ok(())
}

fn encode(url: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

/// `at` is a byte offset into `text`.
fn invalid(text: &str, at: usize, reason: &'static str) -> Fault {
    Wrong { at, reason }.fault("the URL", text)
}
