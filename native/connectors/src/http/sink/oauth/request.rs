//! What the token server is asked.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use message::{Code, Fault};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::basic_credentials;
use crate::http::sink::request::AGENT;
use crate::http::sink::{OauthOptions, OauthStyle};

/// What a form leaves as it is (RFC 6749, appendix B).
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// The same every time.
pub(super) struct TokenRequest {
    url: Uri,
    headers: HeaderMap,
    form: Bytes,
}

impl TokenRequest {
    pub(super) fn new(options: &OauthOptions) -> Result<TokenRequest, Fault> {
        let unusable = |reason: &str| Fault::new(Code::ConfigInvalidValue, format!("the token URL {reason}"));
        if !options.token_url.is_static() {
            return Err(unusable("has placeholders"));
        }
        let url = options.token_url.as_str().parse().map_err(|_| unusable("cannot be used"))?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if options.style == OauthStyle::Basic {
            headers.insert(AUTHORIZATION, credentials(options)?);
        }
        Ok(TokenRequest { url, headers, form: form(options).into() })
    }

    pub(super) fn url(&self) -> &Uri {
        &self.url
    }

    pub(super) fn make(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.form.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Id and secret are encoded as in a form before they become user and password (RFC 6749, 2.3.1).
fn credentials(options: &OauthOptions) -> Result<HeaderValue, Fault> {
    let text = basic_credentials(&encoded(&options.client_id), &encoded(&options.client_secret));
    let unusable = |_| Fault::new(Code::ConfigInvalidValue, "the client's credentials cannot be sent as a header");
    let mut value = HeaderValue::from_str(&format!("Basic {text}")).map_err(unusable)?;
    value.set_sensitive(true);
    Ok(value)
}

fn form(options: &OauthOptions) -> String {
    let scope = options.scopes.join(" ");
    let mut fields = vec![("grant_type", "client_credentials")];
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    if let Some(audience) = &options.audience {
        fields.push(("audience", audience));
    }
    if options.style == OauthStyle::Body {
        fields.push(("client_id", &options.client_id));
        fields.push(("client_secret", &options.client_secret));
    }
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string().replace("%20", "+")
}
