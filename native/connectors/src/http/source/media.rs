//! Which payloads are taken: by Content-Type, charset and Content-Encoding.

use std::ops::BitOr;

use message::{Charset, Code, Fault, charset_parameters, other_parameters};

use super::form;
use super::headers::{Encoding, Field, Found};

/// The kinds of payload a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept(u8);

impl Accept {
    /// `application/xml`, `text/xml`, `*/*+xml`
    pub const XML: Accept = Accept(1);
    /// `application/json`, `*/*+json`
    pub const JSON: Accept = Accept(2);
    /// `text/plain`
    pub const TEXT: Accept = Accept(4);
    /// `application/octet-stream`, and a request without Content-Type (RFC 9110, 8.3)
    pub const BYTES: Accept = Accept(8);
    /// `application/x-www-form-urlencoded`, which becomes JSON
    pub const FORM: Accept = Accept(16);
    /// Every kind that is read without being told how.
    pub const ALL: Accept = Accept(31);
    /// `text/csv`, which only steps that begin with CSV read
    pub const CSV: Accept = Accept(64);
    /// Whatever the sender says it is, and as it says so: nobody here is going to read it.
    pub const ANY: Accept = Accept(127);

    /// Whether those who read the payload take JSON; nobody reads what is taken as it comes.
    pub(super) fn reads_json(self) -> bool {
        self != Accept::ANY && self.takes(Accept::JSON)
    }

    fn takes(self, kind: Accept) -> bool {
        self.0 & kind.0 == kind.0
    }
}

impl BitOr for Accept {
    type Output = Accept;

    fn bitor(self, other: Accept) -> Accept {
        Accept(self.0 | other.0)
    }
}

/// The media type in lower case, with its parameters but for the charset of what is UTF-8 (as it came for
/// [`Accept::ANY`]), or the reason for a 415 (or a 400, when the header stands there twice).
pub(super) fn check_media(found: &Found<'_>, accept: Accept) -> Result<Box<str>, Fault> {
    if found.encoding == Encoding::Other {
        return Err(unsupported("the Content-Encoding is not accepted; send the body as it is, or as gzip"));
    }
    let value = match found.content_type {
        Field::Once(value) => value,
        Field::Absent if accept.takes(Accept::BYTES) => return Ok("".into()),
        Field::Absent => return Err(unsupported("the Content-Type is missing")),
        Field::Repeated => return Err(Fault::new(Code::HttpBadRequest, "Content-Type stands there twice")),
    };
    let text = value.to_str().map_err(|_| unsupported("the Content-Type is not ASCII"))?;
    // As most senders write it: nothing to take apart.
    if known(text).is_some_and(|kind| accept.takes(kind)) {
        return Ok(text.into());
    }
    let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if accept == Accept::ANY {
        subtype(&media).ok_or_else(|| unsupported("the Content-Type is no media type, such as text/csv"))?;
        return Ok(text.trim().replace('\t', " ").into());
    }
    let kind = kind(&media).ok_or_else(|| {
        unsupported("the Content-Type is neither XML, JSON, CSV, a form, text/plain nor application/octet-stream")
    })?;
    if !accept.takes(kind) {
        return Err(unsupported("the path does not take this Content-Type"));
    }
    if kind == Accept::XML {
        // Whoever reads the document needs it, also where it is UTF-8: it wins over the XML declaration.
        let charset = xml_charset(text)?.map(|charset| format!("charset={}", charset.name().to_ascii_lowercase()));
        return Ok(with_parameters(media, charset.as_deref(), text));
    }
    check_charset(text)?;
    Ok(with_parameters(media, None, text))
}

/// Whoever gets the message may need them, such as the `action` of SOAP 1.2.
fn with_parameters(media: String, charset: Option<&str>, content_type: &str) -> Box<str> {
    charset
        .into_iter()
        .chain(other_parameters(content_type))
        .fold(media, |all, one| all + "; " + one)
        .replace('\t', " ")
        .into()
}

fn known(media: &str) -> Option<Accept> {
    match media {
        "application/json" => Some(Accept::JSON),
        "application/xml" | "text/xml" => Some(Accept::XML),
        "text/plain" => Some(Accept::TEXT),
        "text/csv" => Some(Accept::CSV),
        "application/octet-stream" => Some(Accept::BYTES),
        form::MEDIA => Some(Accept::FORM),
        _ => None,
    }
}

fn kind(media: &str) -> Option<Accept> {
    let subtype = subtype(media)?;
    known(media).or_else(|| match subtype.rsplit_once('+')? {
        (_, "json") => Some(Accept::JSON),
        (_, "xml") => Some(Accept::XML),
        _ => None,
    })
}

fn subtype(media: &str) -> Option<&str> {
    media.split_once('/').filter(|(main, sub)| is_token(main) && is_token(sub)).map(|(_, subtype)| subtype)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The charset that XML is posted with.
fn xml_charset(content_type: &str) -> Result<Option<Charset>, Fault> {
    let mut found = None;
    for name in charset_parameters(content_type) {
        let charset = Charset::by_name(name).ok_or_else(|| {
            unsupported(&format!("the charset is not one of those that are read in XML: {}", Charset::READ))
        })?;
        if found.replace(charset).is_some_and(|other| other != charset) {
            return Err(unsupported("the Content-Type names two charsets"));
        }
    }
    Ok(found)
}

/// JSON and text are UTF-8; US-ASCII is UTF-8 too. Other parameters, such as a `profile`, do not change the bytes.
fn check_charset(content_type: &str) -> Result<(), Fault> {
    for charset in charset_parameters(content_type) {
        if !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known)) {
            return Err(unsupported("the charset is not UTF-8"));
        }
    }
    Ok(())
}

fn unsupported(reason: &str) -> Fault {
    Fault::new(Code::HttpUnsupportedMediaType, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue};

    fn check(content_type: &str, accept: Accept) -> Result<Box<str>, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        check_media(&Found::new(&headers), accept)
    }

    #[test]
    fn media_types_are_taken_by_kind() {
        for (text, media) in [
            ("application/json", "application/json"),
            ("Application/XML; charset=UTF-8", "application/xml; charset=utf-8"),
            ("text/xml;charset=\"utf8\"; x=1", "text/xml; charset=utf-8; x=1"),
            ("text/xml; charset=latin1", "text/xml; charset=iso-8859-1"),
            ("image/svg+xml; charset=utf-16; charset=UTF-16", "image/svg+xml; charset=utf-16"),
            ("application/xml; profile=x", "application/xml; profile=x"),
            (
                "application/soap+xml; charset=utf-8; action=\"urn:Book\"",
                "application/soap+xml; charset=utf-8; action=\"urn:Book\"",
            ),
            (
                "application/vnd.acme.order+json; profile=\"a;charset=latin1\"",
                "application/vnd.acme.order+json; profile=\"a;charset=latin1\"",
            ),
            ("image/svg+xml", "image/svg+xml"),
            ("text/plain; charset=us-ascii", "text/plain"),
            ("application/octet-stream", "application/octet-stream"),
        ] {
            assert_eq!(&*check(text, Accept::ALL).unwrap(), media);
        }
        for text in [
            "",
            "json",
            "/json",
            "application/",
            "application/x-www-form-urlencoded; charset=latin1",
            "multipart/form-data; boundary=x",
            "text/html",
            "+json",
            "a b/c+json",
            "text/plain; charset=latin1",
            "text/xml; charset=klingon",
            "text/xml; charset=",
            "text/xml; charset=utf-8; charset=latin1",
            "application/json; charset=utf-16",
            "application/json;charset=",
            "application/json; profile=\"x\\\"\";charset=utf-16",
        ] {
            assert_eq!(check(text, Accept::ALL).unwrap_err().code(), Code::HttpUnsupportedMediaType, "{text}");
        }
    }

    #[test]
    fn an_unknown_charset_is_refused_with_those_that_are_read() {
        let fault = check("text/xml; charset=klingon", Accept::ALL).unwrap_err();
        assert!(fault.reason().contains("US-ASCII, ISO-8859-1, windows-1252 and UTF-16"), "{fault}");
    }

    #[test]
    fn a_route_takes_only_its_kinds() {
        let accept = Accept::XML | Accept::JSON;
        assert!(check("text/xml", accept).is_ok() && check("a/b+json", accept).is_ok());
        assert!(check("text/plain", accept).is_err());
        assert!(check_media(&Found::new(&HeaderMap::new()), accept).is_err());
        assert_eq!(&*check_media(&Found::new(&HeaderMap::new()), Accept::ALL).unwrap(), "");
    }

    #[test]
    fn where_nobody_reads_it_every_media_type_is_taken_as_it_came() {
        for text in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=\"x\"",
            "text/xml; charset=latin1",
            "application/json",
        ] {
            assert_eq!(&*check(text, Accept::ANY).unwrap(), text);
        }
        assert_eq!(&*check(" text/csv;\theader=present ", Accept::ANY).unwrap(), "text/csv; header=present");
        assert_eq!(&*check_media(&Found::new(&HeaderMap::new()), Accept::ANY).unwrap(), "");
        for text in ["", "json", "/json", "a b/c"] {
            assert_eq!(check(text, Accept::ANY).unwrap_err().code(), Code::HttpUnsupportedMediaType, "{text}");
        }
    }

    #[test]
    fn identity_and_gzip_are_taken_as_encoding() {
        let taken = ["identity", "Identity", "gzip", "GZIP", "x-gzip"].map(|encoding| (encoding, true));
        let others = ["identity, gzip", "gzip, gzip", "br", "deflate", ""].map(|encoding| (encoding, false));
        for (encoding, taken) in taken.into_iter().chain(others) {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
            assert_eq!(check_media(&Found::new(&headers), Accept::ALL).is_ok(), taken, "{encoding}");
        }
    }

    #[test]
    fn two_content_types_are_no_request() {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        assert_eq!(check_media(&Found::new(&headers), Accept::ALL).unwrap_err().code(), Code::HttpBadRequest);
    }
}
