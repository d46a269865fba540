//! What a JSON Schema cannot say of a text: names, paths, subjects, headers.

use connectors::http::source::path_shape;
use connectors::nats::subject;
use connectors::rate::Rate;
use message::{Code, Fault, Path, check_name, check_secret_name};

use super::hint::quote;
use super::{Span, VERSION};

/// Checks `text` against the schema's `format`; a fault without its pointer.
pub fn check(format: &str, text: &str) -> Result<(), Fault> {
    if SUBSTITUTED.contains(&format) {
        no_substitution(text)?;
    }
    match format {
        "name" => name(text),
        "path" => path(text),
        "rate" => Rate::parse(text).map(drop),
        "time" => Span::try_from(text.to_owned()).map(drop).map_err(value(text)),
        "expression" if text.trim().is_empty() => {
            Err(Fault::new(Code::ConfigInvalidExpression, "the expression is empty"))
        }
        "url-path" => path_shape(text).map(drop).map_err(value(text)),
        "subject" => subject::check(text, false).map_err(value(text)),
        "subject-filter" => subject::check(text, true).map_err(value(text)),
        "stream" => subject::check_name(text).map_err(value(text)),
        "header-name" => header_name(text).map_err(value(text)),
        "header-value" => header_value(text),
        "sender-header" => check_token(text).map_err(value(text)),
        "origin-host" => origin_host(text).map_err(value(text)),
        "passed-header" => passed_header(text).map_err(value(text)),
        "query-name" => query_name(text).map_err(value(text)),
        "user-name" => user_name(text).map_err(value(text)),
        "secret-name" => secret_name(text),
        "file" => file(text),
        "error-code" => error_code(text),
        _ => Ok(()),
    }
}

/// Where people expect the value of an environment variable in place of `${NAME}`, and nothing puts it there.
const SUBSTITUTED: [&str; 10] = [
    "url",
    "url-path",
    "subject",
    "subject-filter",
    "stream",
    "header-value",
    "out-path",
    "mqtt-topic",
    "mqtt-filter",
    "mqtt-name",
];

fn no_substitution(text: &str) -> Result<(), Fault> {
    let Some((before, rest)) = text.split_once("${") else { return Ok(()) };
    let Some((name, _)) = rest.split_once('}') else { return Ok(()) };
    let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
    let reason = format!("nothing is put in place of {}", quote(&format!("${{{name}}}")));
    Err(Fault::new(Code::ConfigNoSubstitution, reason).at_column(column))
}

/// The version is a number, and the only format of one.
pub fn check_version(version: u64) -> Result<(), Fault> {
    if version == u64::from(VERSION) {
        return Ok(());
    }
    let reason = format!("version {version} is not known, this build reads {VERSION}");
    Err(Fault::new(Code::ConfigUnsupportedVersion, reason))
}

fn value(text: &str) -> impl Fn(&'static str) -> Fault {
    move |reason| Fault::new(Code::ConfigInvalidValue, format!("{} {reason}", quote(text)))
}

/// Of a request, to go on with its message: not what is the connection's, the sender's credentials, or ours.
fn passed_header(text: &str) -> Result<(), &'static str> {
    const NOT: [&str; 14] = [
        "auth-name",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "customer-id",
        "host",
        "proxy-authorization",
        "request-method",
        "transfer-encoding",
        "upgrade",
        "x-vrsky-hops",
    ];
    check_token(text)?;
    let lower = text.to_ascii_lowercase();
    let is_ours = ["nats-", "vrsky-", "query-", "path-"].iter().any(|prefix| lower.starts_with(prefix));
    if is_ours || NOT.contains(&&*lower) { Err("is a header that does not go on with a message") } else { Ok(()) }
}

/// A host's name, or all below a domain.
fn origin_host(text: &str) -> Result<(), &'static str> {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_fit = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.len() <= 253 && host.split('.').all(is_fit) { Ok(()) } else { Err("is no host, nor `*.` and a domain") }
}

/// It becomes a part of a header's name.
fn query_name(text: &str) -> Result<(), &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_fit) {
        return Ok(());
    }
    Err("has to be 1 to 64 letters, digits, `-`, `_` and `.`")
}

/// RFC 7617: a colon ends it.
fn user_name(text: &str) -> Result<(), &'static str> {
    let is_fit = |character: char| character != ':' && !character.is_control();
    if text.chars().all(is_fit) { Ok(()) } else { Err("may hold no colon and no control character") }
}

fn name(text: &str) -> Result<(), Fault> {
    check_name(text)
        .map_err(|error| Fault::new(Code::ConfigInvalidName, format!("the name {} {}", quote(text), error.0)))
}

fn path(text: &str) -> Result<(), Fault> {
    Path::parse(text).map(drop).map_err(|error| {
        let before = text.get(..error.offset).unwrap_or_default().chars().count();
        let column = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
        let reason = format!("the path {} {}", quote(text), error.reason);
        Fault::new(Code::ConfigInvalidPath, reason).at_column(column)
    })
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Headers that the connector writes itself, or that would break the request's framing.
fn check_token(text: &str) -> Result<(), &'static str> {
    let is_name = (1..=128).contains(&text.len()) && text.bytes().all(is_token);
    if is_name { Ok(()) } else { Err("is no header name") }
}

fn header_name(text: &str) -> Result<(), &'static str> {
    const OURS: [&str; 8] = [
        "authorization",
        "connection",
        "content-length",
        "host",
        "idempotency-key",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    check_token(text)?;
    let lower = text.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) || lower.starts_with("nats-") || lower.starts_with("vrsky-") {
        return Err("is a header that may not be set here");
    }
    Ok(())
}

fn header_value(text: &str) -> Result<(), Fault> {
    if text.len() <= 4096 && text.bytes().all(|b| (b' '..127).contains(&b)) {
        return Ok(());
    }
    let reason = "a header's value is at most 4,096 visible ASCII characters and blanks";
    Err(Fault::new(Code::ConfigInvalidValue, reason))
}

/// What secrets are looked up by. In capitals and with `_` it is written in the variable only.
fn secret_name(text: &str) -> Result<(), Fault> {
    check_secret_name(text).map_err(|error| {
        let lower = text.to_ascii_lowercase();
        let meant = lower.split(['_', '-']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let instead = check_secret_name(&meant).map(|()| format!(", write `{meant}`")).unwrap_or_default();
        let reason = format!("the name {} of a secret {}{instead}", quote(text), error.0);
        Fault::new(Code::ConfigInvalidName, reason)
    })
}

fn file(text: &str) -> Result<(), Fault> {
    if text.is_empty() || text.len() > 1024 || text.contains('\0') {
        return Err(Fault::new(Code::ConfigInvalidValue, "a file's path has 1 to 1,024 characters"));
    }
    let inside = !text.starts_with(['/', '\\']) && !text.split(['/', '\\']).any(|part| part == "..");
    if inside && !text.contains(':') {
        return Ok(());
    }
    let reason = format!("the file {} lies outside the pipeline file's folder", quote(text));
    Err(Fault::new(Code::ConfigFileOutside, reason))
}

fn error_code(text: &str) -> Result<(), Fault> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    if codes.clone().any(|code| code == text) {
        return Ok(());
    }
    let meant = super::hint::nearest(text, codes).map(|code| format!(", did you mean `{code}`?"));
    let reason = format!("there is no error code {}{}", quote(text), meant.unwrap_or_default());
    Err(Fault::new(Code::ConfigInvalidValue, reason))
}
