//! Bodies of HTML forms (`application/x-www-form-urlencoded`) as JSON: `a=1&b=x&b=y` is `{"a":"1","b":["x","y"]}`.

use std::collections::BTreeMap;

use message::{Code, Fault};
use percent_encoding::percent_decode;

/// What the media type is that this reads.
pub(super) const MEDIA: &str = "application/x-www-form-urlencoded";

/// Name and value of each pair, in order.
///
/// # Errors
/// `http/bad-request` with the byte offset of a name or value that is not UTF-8.
pub(super) fn pairs(form: &[u8]) -> impl Iterator<Item = Result<(String, String), Fault>> {
    let mut offset = 0;
    form.split(|byte| *byte == b'&').filter_map(move |pair| {
        let start = offset;
        offset += pair.len() + 1;
        let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let both = || {
            let name = text(&pair[..equals], start)?;
            Ok((name, text(pair.get(equals + 1..).unwrap_or_default(), start + equals + 1)?))
        };
        (!pair.is_empty()).then(both)
    })
}

/// JSON of a form, its names in the order in which they came first. A name that comes again makes a list.
///
/// # Errors
/// `http/bad-request` with the byte offset of a name or value that is not UTF-8.
pub(super) fn to_json(form: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for pair in pairs(form) {
        let (name, value) = pair?;
        let place = *names.entry(name).or_insert_with_key(|name| {
            fields.push((name.clone(), Vec::new()));
            fields.len() - 1
        });
        if let Some((_, values)) = fields.get_mut(place) {
            values.push(value);
        }
    }
    Ok(written(&fields))
}

/// A plus is a blank; what is not percent-encoded as it should be stays as it is (WHATWG URL, 5.1).
fn text(encoded: &[u8], offset: usize) -> Result<String, Fault> {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(decoded)
        .map_err(|_| Fault::new(Code::HttpBadRequest, "a name or value of the form is not UTF-8").at_offset(offset))
}

fn written(fields: &[(String, Vec<String>)]) -> Vec<u8> {
    let mut json = vec![b'{'];
    for (place, (name, values)) in fields.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        put(&mut json, name);
        json.push(b':');
        match values.as_slice() {
            [one] => put(&mut json, one),
            several => {
                json.push(b'[');
                for (place, value) in several.iter().enumerate() {
                    if place > 0 {
                        json.push(b',');
                    }
                    put(&mut json, value);
                }
                json.push(b']');
            }
        }
    }
    json.push(b'}');
    json
}

fn put(json: &mut Vec<u8>, text: &str) {
    // Memory does not refuse, and a text has nothing that JSON has not.
    let _ = serde_json::to_writer(json, text);
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
            assert_eq!(String::from_utf8(to_json(form.as_bytes()).unwrap()).unwrap(), json, "{form}");
        }
        for (form, offset) in [(&b"a=1&b=%ff"[..], 6), (b"\xff=1", 0), (b"x=y&%C3=1", 4)] {
            assert_eq!(to_json(form).unwrap_err().place().offset, Some(offset));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_json_or_refused(form in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'&'), Just(b'='), Just(b'%')], 0..200)) {
            if let Ok(json) = to_json(&form) {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).unwrap().is_object());
            }
        }
    }
}
