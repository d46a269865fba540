//! `TextEncoder` and `TextDecoder`: the encodings of the Encoding Standard.

use encoding_rs::{Encoding, REPLACEMENT};

use super::{Arguments, Host};
use crate::runtime::raw::{Owned, Thrown};

/// `encode(text)`: its bytes in UTF-8.
pub fn encode(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let text = arguments.text(0)?;
    host.js().bytes(text.as_bytes())
}

/// `encodingOf(label)`: the encoding's name; null for no encoding.
pub fn encoding_of(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    match known(&arguments.text(0)?) {
        Some(encoding) => host.js().text(&encoding.name().to_ascii_lowercase()),
        None => Ok(host.js().null()),
    }
}

/// `decode(encoding, bytes, fatal, ignoreBOM)`: null when they have to be right and are not.
pub fn decode(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let Some(encoding) = known(&arguments.text(0)?) else { return Ok(host.js().null()) };
    let (is_fatal, keeps_mark) = (arguments.is_true(2), arguments.is_true(3));
    let decoded = arguments.with_bytes(1, |bytes| {
        let (text, is_wrong) = if keeps_mark {
            encoding.decode_without_bom_handling(bytes)
        } else {
            encoding.decode_with_bom_removal(bytes)
        };
        (!(is_fatal && is_wrong)).then(|| text.into_owned())
    })?;
    match decoded {
        Some(text) => host.js().text(&text),
        None => Ok(host.js().null()),
    }
}

fn known(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT)
}
