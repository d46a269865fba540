//! How often outs have passed a message on to ins of such nodes: a loop of pipelines ends by that count.

use message::Headers;

/// The header of a message, and of a request.
pub(crate) const HOPS: &str = "x-vrsky-hops";
/// So often it is not passed on.
pub(crate) const MOST_HOPS: u16 = 16;

/// What a value of the header says; `None` when that is no number. More than fits is the most there is.
pub(crate) fn hops(value: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u16::MAX))
}

/// Of a message that came with these headers. What is no number counts as too often: only such nodes write the header,
/// and nobody may hide a loop.
pub(crate) fn hops_of(headers: Headers<'_>) -> u16 {
    let named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(HOPS.as_bytes()));
    named.map(|(_, value)| hops(value).unwrap_or(u16::MAX)).max().unwrap_or_default()
}
