//! What a pipeline file says of HTTP.

mod batch;
mod incoming;
mod oauth;
mod outgoing;
mod webhook;

pub use batch::{BatchFormat, OutBatch};
pub use incoming::{ContentType, HttpIn, InApiKey, InAuth, InBasic, InBearer, InMethod, KnownKey, KnownUser, NoAuth};
pub use oauth::{Oauth2, Oauth2Auth, OauthStyle};
pub use outgoing::{BasicAuth, BearerAuth, HeaderValue, HttpOut, Method, OutAuth, OutTls, OutUrl, Retry, UserPassword};
pub use webhook::{
    BodyChallenge, ChallengeMethod, ChallengeReply, ChallengeWhen, CloudEventsOptions, DeduplicateBy, HandshakeOptions,
    HmacAlgorithm, InHmac, InWebhook, KeyEncoding, KnownHmac, KnownSender, NoTolerance, QueryChallenge,
    SignatureEncoding, Tolerance, Verify, WebhookSender, WhenField, WhenHeader,
};
