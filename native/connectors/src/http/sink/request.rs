//! One delivery as an HTTP request.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use message::{Code, Fault, Headers, Hop};

use super::{Method, SinkOptions};
use crate::contract::Delivery;
use crate::hops::{HOPS, hops_of};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!("vrsky-fast/", env!("CARGO_PKG_VERSION")));
/// Set by the client or by us; a file that sets them would break the framing or the guarantee.
const OURS: [HeaderName; 10] =
    [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, UPGRADE, EXPECT, CONTENT_TYPE, IDEMPOTENCY_KEY];

/// What is the same in every request of an out, checked once.
pub(super) struct Template {
    /// With what the file configures: for the out's own origin only.
    configured: HeaderMap,
    fixed_url: Option<Uri>,
    content_type: Option<HeaderValue>,
}

/// A request that can be sent more than once, for redirects and new tokens.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: http::Method,
    pub(super) url: Uri,
    /// Go to any origin.
    pub(super) headers: HeaderMap,
    /// Go to the first origin only.
    pub(super) configured: HeaderMap,
    pub(super) payload: Bytes,
}

impl Outgoing {
    /// From here on it asks how it went with the message, which was taken.
    pub(super) fn leave_message(&mut self) {
        self.method = http::Method::GET;
        self.payload = Bytes::new();
        for name in [CONTENT_LENGTH, CONTENT_TYPE, IDEMPOTENCY_KEY] {
            self.headers.remove(name);
        }
    }
}

impl Template {
    pub(super) fn new(options: &SinkOptions) -> Result<Template, Fault> {
        let mut configured = HeaderMap::new();
        for (name, value) in &options.headers {
            let (name, value) = header(name, value)?;
            configured.append(name, value);
        }
        if let Some(value) = &options.authorization {
            let mut value = HeaderValue::from_str(value).map_err(|_| {
                Fault::new(
                    Code::ConfigInvalidValue,
                    "the credentials for `Authorization` have characters that no header can carry",
                )
            })?;
            value.set_sensitive(true);
            configured.insert(AUTHORIZATION, value);
        }
        let content_type = options.content_type.as_deref().map(content_type).transpose()?;
        let fixed_url = if options.url.is_static() {
            let unusable = |_| Fault::new(Code::ConfigInvalidValue, "the URL cannot be used");
            Some(options.url.as_str().parse().map_err(unusable)?)
        } else {
            None
        };
        Ok(Template { configured, fixed_url, content_type })
    }

    pub(super) fn request(&self, options: &SinkOptions, delivery: &Delivery<'_>) -> Result<Outgoing, Fault> {
        let payload = if options.method.has_body() { delivery.payload.clone() } else { Bytes::new() };
        self.outgoing(options, delivery.address, self.message_headers(options, delivery), payload)
    }

    /// One request for all of them, each of which was posted `hops` times before. It has no header of a single message.
    pub(super) fn batch(
        &self,
        options: &SinkOptions,
        deliveries: &[&Delivery<'_>],
        hops: u16,
        media: HeaderValue,
        body: Bytes,
    ) -> Result<Outgoing, Fault> {
        let url = deliveries.first().and_then(|first| first.address);
        let mut headers = own_headers(&batch_id(deliveries));
        headers.insert(CONTENT_TYPE, self.content_type.clone().unwrap_or(media));
        headers.insert(HeaderName::from_static(HOPS), HeaderValue::from(hops.saturating_add(1)));
        self.outgoing(options, url, headers, body)
    }

    fn outgoing(
        &self,
        options: &SinkOptions,
        url: Option<&str>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Outgoing, Fault> {
        let url = match (url, &self.fixed_url) {
            (Some(url), _) => rendered(options, url)?,
            (None, Some(url)) => url.clone(),
            (None, None) => {
                return Err(Fault::new(Code::HttpBadUrl, "the URL has placeholders that were not filled in"));
            }
        };
        let method = match options.method {
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Get => http::Method::GET,
            Method::Delete => http::Method::DELETE,
        };
        Ok(Outgoing { method, url, headers, configured: self.configured.clone(), payload })
    }

    fn message_headers(&self, options: &SinkOptions, delivery: &Delivery<'_>) -> HeaderMap {
        let mut headers = own_headers(delivery.id);
        if options.method.has_body() {
            let own = || HeaderValue::from_str(delivery.content_type).ok().filter(|value| !value.is_empty());
            if let Some(value) = self.content_type.clone().or_else(own) {
                headers.insert(CONTENT_TYPE, value);
            }
            if delivery.payload.is_empty() {
                // The client writes one only for a body that there is; some servers refuse a POST without.
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
        }
        let passed = Headers::new(delivery.headers);
        headers.insert(HeaderName::from_static(HOPS), HeaderValue::from(hops_of(passed).saturating_add(1)));
        let hop = Hop::next(passed, delivery.id.as_bytes());
        if let Some(Ok(parent)) = hop.traceparent().map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static("traceparent"), parent);
        }
        for (name, value) in passed.iter().filter(|(name, _)| goes_on(name) && hop.passes(name)) {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        headers
    }
}

fn own_headers(id: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(USER_AGENT, AGENT);
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(IDEMPOTENCY_KEY, id);
    }
    headers
}

/// The same for the same messages in the same order; that of the message when it is alone.
fn batch_id(deliveries: &[&Delivery<'_>]) -> String {
    let [delivery] = deliveries else {
        let mut hasher = blake3::Hasher::new();
        for delivery in deliveries {
            hasher.update(&delivery.id.len().to_le_bytes()).update(delivery.id.as_bytes());
        }
        let customer = deliveries.first().map(|first| first.customer).unwrap_or_default();
        return format!("{customer}.{}", &hasher.finalize().to_hex()[..32]);
    };
    delivery.id.to_owned()
}

/// A rendered URL travels with the message; it may go no further than its template.
fn rendered(options: &SinkOptions, url: &str) -> Result<Uri, Fault> {
    let origin = options.url.origin();
    let rest = url
        .strip_prefix(origin)
        .ok_or_else(|| Fault::new(Code::HttpBadUrl, "the URL leads to another server than the out's"))?;
    if !(rest.is_empty() || rest.starts_with(['/', '?'])) {
        return Err(Fault::new(Code::HttpBadUrl, "the URL leads to another server than the out's"));
    }
    url.parse().map_err(|_| Fault::new(Code::HttpBadUrl, "the URL cannot be used"))
}

fn content_type(text: &str) -> Result<HeaderValue, Fault> {
    let unusable = |_| Fault::new(Code::ConfigInvalidValue, "the content type cannot be sent as a header");
    HeaderValue::from_str(text).map_err(unusable)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let refused =
        |reason: &str| Fault::new(Code::ConfigInvalidValue, format!("the header `{}` {reason}", name.escape_debug()));
    let parsed: HeaderName = name.parse().map_err(|_| refused("has a name that no header can have"))?;
    if OURS.contains(&parsed) {
        return Err(refused("is set by the connector"));
    }
    let value = HeaderValue::from_str(value).map_err(|_| refused("has a value that no header can carry"))?;
    Ok((parsed, value))
}

/// What a trace says of itself, the request's id and CloudEvents, as they came in; nothing else of a message's headers is
/// the receiver's business.
fn goes_on(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"tracestate")
        || name.eq_ignore_ascii_case(b"x-request-id")
        || name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"ce-"))
}
