//! How often outs have passed a message on to ins of such nodes: a loop of pipelines ends by that count.

use message::Headers;

/// The header of a message, and of a request.
pub(crate) const HOPS: &str = "x-vrsky-hops";
/// So often it is not passed on.
pub(crate) const MOST_HOPS: u16 = 16;

/// Of a message that came with these headers.
pub(crate) fn hops_of(headers: Headers<'_>) -> u16 {
    headers.get_str(HOPS).and_then(|text| text.parse().ok()).unwrap_or_default()
}
