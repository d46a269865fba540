//! Digests, HMAC, and values that look random and follow from the message.

use ring::{digest, hmac};

use super::{Arguments, Host};
use crate::runtime::raw::{Owned, Thrown};

/// Bytes between two looks at the clock.
const CHUNK: usize = 64 << 10;

/// The names of digests, as scripts write them.
const NAMES: [&str; 4] = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];

/// `algorithmOf(name)`: the name as it is written here, whatever the case; null for no digest.
pub fn algorithm_of(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let asked = arguments.text(0)?;
    match NAMES.iter().find(|name| name.eq_ignore_ascii_case(&asked)) {
        Some(name) => host.js().text(name),
        None => Ok(host.js().null()),
    }
}

/// `digest(algorithm, bytes)`.
pub fn digest(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let algorithm = match &*arguments.text(0)? {
        "SHA-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-384" => &digest::SHA384,
        "SHA-512" => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let mut context = digest::Context::new(algorithm);
    each_chunk(host, arguments, 1, |chunk| context.update(chunk))?;
    host.js().bytes(context.finish().as_ref())
}

/// `hmac(algorithm, key, bytes)`.
pub fn hmac(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let algorithm = match &*arguments.text(0)? {
        "SHA-1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "SHA-384" => hmac::HMAC_SHA384,
        "SHA-512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let key = arguments.with_bytes(1, |key| hmac::Key::new(algorithm, key))?;
    let mut context = hmac::Context::with_key(&key);
    each_chunk(host, arguments, 2, |chunk| context.update(chunk))?;
    host.js().bytes(context.sign().as_ref())
}

/// Stops when the script has to end; its verdict is then the guard's, whatever is returned.
fn each_chunk(host: &Host, arguments: &Arguments<'_>, index: usize, mut take: impl FnMut(&[u8])) -> Result<(), Thrown> {
    arguments.with_bytes(index, |bytes| {
        for chunk in bytes.chunks(CHUNK) {
            if host.must_stop() {
                return;
            }
            take(chunk);
        }
    })
}

/// `fill(bytes)`.
pub fn fill(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    arguments.with_bytes(0, |bytes| {
        for chunk in bytes.chunks_mut(digest::SHA256_OUTPUT_LEN) {
            chunk.copy_from_slice(&host.unique()?[..chunk.len()]);
        }
        Ok(())
    })??;
    Ok(host.js().undefined())
}

/// `uuid()`: of version 4.
pub fn uuid(host: &Host, _: &Arguments<'_>) -> Result<Owned, Thrown> {
    host.uuid()
}
