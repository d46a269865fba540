//! HTTP/1.1, in and out.
//!
//! ```text
//! options/  what the pipeline file says of both
//! source/   the server: a request becomes an Incoming, its settlement the answer
//! sink/     the client: a Delivery becomes a request, its answer an Outcome
//! template  the out's URL with placeholders from the message
//! guard     which addresses an outgoing URL may lead to
//! ```

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

pub mod guard;
pub mod options;
pub mod sink;
pub mod source;
pub mod template;

/// How often a message was posted, from an out to an in, before it came here.
const HOPS: &str = "x-vrsky-hops";

/// What a value of `X-Vrsky-Hops` says; `None` when that is no number. More than fits is the most there is.
fn hops(value: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u16::MAX))
}

/// User and password as `Basic` presents them (RFC 7617), in UTF-8.
#[must_use]
pub fn basic_credentials(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("{user}:{password}"))
}

pub use guard::{AddressPolicy, Network};
pub use sink::HttpSinkKind;
pub use source::HttpSourceKind;
pub use template::UrlTemplate;
