//! What an out says about its requests.

use std::fmt;
use std::time::Duration;

use crate::http::UrlTemplate;
use crate::http::options::{BatchFormat, Method, OauthStyle};
use crate::tls::TlsOptions;

/// What is done about a request whose answer never came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetryMode {
    /// It is sent again, under the same `Idempotency-Key`.
    #[default]
    Default,
    /// It is not, once it may have been sent: `http/ambiguous`.
    Safe,
}

/// A token of the client's own (RFC 6749, 4.4).
#[derive(Clone)]
pub struct OauthOptions {
    /// Without placeholders.
    pub token_url: UrlTemplate,
    pub client_id: String,
    pub client_secret: String,
    pub scopes: Vec<String>,
    /// Not of the standard, but what many servers ask for.
    pub audience: Option<String>,
    pub style: OauthStyle,
}

impl fmt::Debug for OauthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OauthOptions(..)")
    }
}

#[derive(Clone, Debug)]
pub struct SinkOptions {
    pub url: UrlTemplate,
    pub method: Method,
    /// Sent with every request, but to no other origin.
    pub headers: Vec<(String, String)>,
    /// The whole value of `Authorization`, such as `Bearer x`; never shown, nor sent to another
    /// origin.
    pub authorization: Option<String>,
    /// In place of `authorization`.
    pub oauth: Option<OauthOptions>,
    /// In place of the message's, or of the batch's.
    pub content_type: Option<String>,
    /// `None`: each message has a request of its own.
    pub batch: Option<BatchFormat>,
    /// Of this out alone.
    pub tls: TlsOptions,
    /// Name lookup, TCP and TLS.
    pub connect_timeout: Duration,
    /// From the start of the connect to the end of the answer, over all redirects.
    pub timeout: Duration,
    /// Requests at a time.
    pub concurrency: usize,
    /// Redirects that are followed; 0 follows none.
    pub redirects: u32,
    pub retry: RetryMode,
    /// The most of a server's Retry-After that is honoured.
    pub max_retry_after: Duration,
}

impl SinkOptions {
    #[must_use]
    pub fn new(url: UrlTemplate) -> SinkOptions {
        SinkOptions {
            url,
            method: Method::default(),
            headers: Vec::new(),
            authorization: None,
            oauth: None,
            content_type: None,
            batch: None,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            concurrency: 16,
            redirects: 0,
            retry: RetryMode::default(),
            max_retry_after: Duration::from_secs(300),
        }
    }
}
