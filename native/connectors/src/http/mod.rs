//! HTTP/1.1, in and out.
//!
//! ```text
//! source/   the server: a request becomes an Incoming, its settlement the answer
//! sink/     the client: a Delivery becomes a request, its answer an Outcome
//! template  the out's URL with placeholders from the message
//! guard     which addresses an outgoing URL may lead to
//! ```

pub mod guard;
pub mod sink;
pub mod source;
pub mod template;

/// How often a message was posted, from an out to an in, before it came here.
const HOPS: &str = "x-vrsky-hops";

pub use guard::{AddressPolicy, Network};
pub use template::UrlTemplate;
