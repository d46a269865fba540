//! What a pipeline file says of HTTP.

mod incoming;
mod outgoing;
mod webhook;

pub use incoming::{ContentType, HttpIn, InApiKey, InAuth, InBasic, InBearer, InMethod, KnownKey, KnownUser, NoAuth};
pub use outgoing::{BasicAuth, BearerAuth, HeaderValue, HttpOut, Method, OutAuth, OutTls, OutUrl, Retry, UserPassword};
pub use webhook::{
    BodyChallenge, ChallengeMethod, ChallengeReply, ChallengeWhen, CloudEventsOptions, DeduplicateBy, HandshakeOptions,
    HmacAlgorithm, InHmac, InWebhook, KeyEncoding, KnownHmac, KnownSender, NoTolerance, QueryChallenge,
    SignatureEncoding, Tolerance, Verify, WebhookSender, WhenField, WhenHeader,
};
