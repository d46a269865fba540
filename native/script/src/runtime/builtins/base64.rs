//! `atob` and `btoa` as the HTML standard has them, and bytes as text.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{self, GeneralPurpose, GeneralPurposeConfig};

use super::{Arguments, Host};
use crate::runtime::raw::{Owned, Thrown};

/// Without padding, which is taken off before; bits that are left over are dropped.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// `atob(text)`: each byte as a character; null when it is no base64.
pub fn atob(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let decoded = arguments.with_text(0, |text| {
        let mut digits: Vec<u8> =
            text.iter().copied().filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')).collect();
        if digits.len().is_multiple_of(4) {
            for _ in 0..2 {
                digits.pop_if(|last| *last == b'=');
            }
        }
        FORGIVING.decode(&digits).ok()
    })?;
    let Some(bytes) = decoded else { return Ok(host.js().null()) };
    host.js().text(&bytes.into_iter().map(char::from).collect::<String>())
}

/// `btoa(text)`: null when a character is beyond U+00FF.
pub fn btoa(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let bytes = arguments.with_text(0, |text| {
        let text = std::str::from_utf8(text).ok()?;
        text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>()
    })?;
    match bytes {
        Some(bytes) => host.js().text(&general_purpose::STANDARD.encode(bytes)),
        None => Ok(host.js().null()),
    }
}

/// `shown(bytes, encoding)`: as `hex`, `base64` or `base64url`; null for any other encoding.
pub fn shown(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let encoding = arguments.text(1)?;
    let shown = arguments.with_bytes(0, |bytes| match &*encoding {
        "hex" => Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        "base64" => Some(general_purpose::STANDARD.encode(bytes)),
        "base64url" => Some(general_purpose::URL_SAFE_NO_PAD.encode(bytes)),
        _ => None,
    })?;
    match shown {
        Some(shown) => host.js().text(&shown),
        None => Ok(host.js().null()),
    }
}
