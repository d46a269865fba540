//! What a pipeline file says of HTTP.

mod batch;
mod incoming;
mod oauth;
mod outgoing;

pub use batch::{BatchFormat, OutBatch};
pub use incoming::{ContentType, HttpIn, InApiKey, InAuth, InBasic, InBearer, KnownKey, KnownUser, NoAuth};
pub use oauth::{Oauth2, Oauth2Auth, OauthStyle};
pub use outgoing::{BasicAuth, BearerAuth, HeaderValue, HttpOut, Method, OutAuth, OutTls, OutUrl, Retry, UserPassword};
