//! Bodies of HTML forms (`application/x-www-form-urlencoded`) as JSON: `a=1&b=x&b=y` is `{"a":"1","b":["x","y"]}`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use message::{Code, Fault};
use percent_encoding::percent_decode;

use super::body::too_large;

/// What the media type is that this reads.
pub(super) const MEDIA: &str = "application/x-www-form-urlencoded";
/// Pairs of a form: many times what any page has, and few enough for what is noted of each.
pub(super) const MAX_PAIRS: usize = 10_000;

/// Name and value of each pair, in order.
///
/// # Errors
/// `http/bad-request` with the byte offset of a name or value that is not UTF-8.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), Fault>> {
    raw(form).map(|(name, value)| Ok((name.text()?, value.text()?)))
}

/// JSON of a form, at most `most` bytes, its names in the order in which they came first. A name that comes again makes
/// a list. The pairs are counted before anything is made of them; beside the JSON there are the names and one value.
///
/// # Errors
/// `http/bad-request` with the byte offset of a name or value that is not UTF-8; `http/too-large` for too many pairs, or
/// too long a JSON.
pub(super) fn to_json(form: &[u8], most: usize) -> Result<Vec<u8>, Fault> {
    if raw(form).nth(MAX_PAIRS).is_some() {
        return Err(Fault::new(Code::HttpTooLarge, format!("the form has more than {MAX_PAIRS} names and values")));
    }
    let mut names: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
    let mut fields: Vec<(Raw<'_>, Vec<Raw<'_>>)> = Vec::new();
    for (name, value) in raw(form) {
        let place = *names.entry(name.text()?).or_insert_with(|| {
            fields.push((name, Vec::new()));
            fields.len() - 1
        });
        if let Some((_, values)) = fields.get_mut(place) {
            values.push(value);
        }
    }
    let mut json = Bounded { json: Vec::new(), most };
    written(&fields, &mut json)?;
    Ok(json.json)
}

/// Bytes of the JSON of a form of this length, at most: one byte of six, and what JSON puts around names and values.
pub(super) fn longest_json(length: usize) -> usize {
    length.saturating_mul(8).saturating_add(2)
}

/// A name or a value as it came, and where.
#[derive(Clone, Copy)]
struct Raw<'f> {
    encoded: &'f [u8],
    offset: usize,
}

fn raw(form: &[u8]) -> impl Iterator<Item = (Raw<'_>, Raw<'_>)> {
    let mut offset = 0;
    form.split(|byte| *byte == b'&').filter_map(move |pair| {
        let start = offset;
        offset += pair.len() + 1;
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let name = Raw { encoded: &pair[..equals], offset: start };
        let value = Raw { encoded: pair.get(equals + 1..).unwrap_or_default(), offset: start + equals + 1 };
        (!pair.is_empty()).then_some((name, value))
    })
}

impl<'f> Raw<'f> {
    /// A plus is a blank; what is not percent-encoded as it should be stays as it is (WHATWG URL, 5.1).
    fn text(self) -> Result<Cow<'f, str>, Fault> {
        let decoded: Cow<'f, [u8]> = if self.encoded.contains(&b'+') {
            let spaced: Vec<u8> = self.encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            Cow::Owned(percent_decode(&spaced).collect())
        } else {
            percent_decode(self.encoded).into()
        };
        let text = match decoded {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        text.ok_or_else(|| {
            Fault::new(Code::HttpBadRequest, "a name or value of the form is not UTF-8").at_offset(self.offset)
        })
    }
}

/// JSON that grows up to here: a byte of a form can become six.
struct Bounded {
    json: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.json.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.json.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bounded {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.write_all(bytes).map_err(|_| too_large(self.most))
    }

    fn put_text(&mut self, text: Raw<'_>) -> Result<(), Fault> {
        let text = text.text()?;
        let most = self.most;
        serde_json::to_writer(self, &*text).map_err(|_| too_large(most))
    }
}

fn written(fields: &[(Raw<'_>, Vec<Raw<'_>>)], json: &mut Bounded) -> Result<(), Fault> {
    json.put(b"{")?;
    for (place, (name, values)) in fields.iter().enumerate() {
        json.put(if place > 0 { b"," } else { b"" })?;
        json.put_text(*name)?;
        json.put(b":")?;
        match values.as_slice() {
            [one] => json.put_text(*one)?,
            several => {
                json.put(b"[")?;
                for (place, value) in several.iter().enumerate() {
                    json.put(if place > 0 { b"," } else { b"" })?;
                    json.put_text(*value)?;
                }
                json.put(b"]")?;
            }
        }
    }
    json.put(b"}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_becomes_an_object_of_texts() {
        for (form, json) in [
            ("", "{}"),
            ("a=1&b=x&b=y", r#"{"a":"1","b":["x","y"]}"#),
            ("b=1&a=2&b=", r#"{"b":["1",""],"a":"2"}"#),
            ("a+b=c%20d%2B%26%3D", r#"{"a b":"c d+&="}"#),
            ("a&=b&&c==", r#"{"a":"","":"b","c":"="}"#),
            ("caf%C3%A9=%F0%9F%98%80", "{\"caf\u{e9}\":\"\u{1f600}\"}"),
            ("a=%&b=%2&c=%zz", r#"{"a":"%","b":"%2","c":"%zz"}"#),
            ("a=%00%22%5C%0A", r#"{"a":"\u0000\"\\\n"}"#),
            ("__proto__=1&a.b=2", r#"{"__proto__":"1","a.b":"2"}"#),
        ] {
            assert_eq!(String::from_utf8(to_json(form.as_bytes(), 100).unwrap()).unwrap(), json, "{form}");
        }
        for (form, offset) in [(&b"a=1&b=%ff"[..], 6), (b"\xff=1", 0), (b"x=y&%C3=1", 4)] {
            assert_eq!(to_json(form, 100).unwrap_err().place().offset, Some(offset));
        }
    }

    #[test]
    fn a_form_has_so_many_pairs_and_becomes_so_long() {
        let code = |form: &str, most| to_json(form.as_bytes(), most).map_err(|fault| fault.code());
        assert!(code(&"a&".repeat(MAX_PAIRS), 1 << 20).is_ok());
        assert_eq!(code(&"a&".repeat(MAX_PAIRS + 1), 1 << 20), Err(Code::HttpTooLarge));
        assert_eq!(code("a=%00", 13), Err(Code::HttpTooLarge));
        assert_eq!(code("a=%00", 14), Ok(br#"{"a":"\u0000"}"#.to_vec()));
        assert!(code(&"&".repeat(10 * MAX_PAIRS), 2).is_ok(), "nothing between two `&` is no pair");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_json_or_refused(form in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'&'), Just(b'='), Just(b'%')], 0..200)) {
            if let Ok(json) = to_json(&form, 2_000) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).unwrap().is_object());
            }
        }
    }
}
