//! What a pipeline file says of HTTP.

mod incoming;
mod outgoing;

pub use incoming::{ContentType, HttpIn, InApiKey, InAuth, InBasic, InBearer, KnownKey, KnownUser, NoAuth};
pub use outgoing::{BasicAuth, BearerAuth, HeaderValue, HttpOut, Method, OutAuth, OutTls, OutUrl, Retry, UserPassword};
