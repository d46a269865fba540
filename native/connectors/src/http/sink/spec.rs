//! From the options of an HTTP out to a client.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Document, Fault};
use serde_json::Value;

use super::{HttpSink, OauthOptions, RetryMode, SinkOptions, check_options};
use crate::contract::Sink;
use crate::http::options::{HeaderValue, HttpOut, Oauth2, OutAuth, OutUrl, Retry};
use crate::http::{UrlTemplate, basic_credentials};
use crate::kind::{Described, Gathering, Host, Policy, Route, Secrets, SinkKind, SinkSpec, Template, field, typed};
use crate::options::Secret;
use crate::tls::TlsOptions;

/// As the documentation of `batch` says.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// As the documentation of `follow_redirects` says.
const REDIRECTS: u32 = 5;

pub struct HttpSinkKind;

impl Described for HttpSinkKind {
    type Options = HttpOut;
    const NAME: &'static str = "http";
    const SUMMARY: &'static str = "A request to an HTTP server.";
    const EXAMPLE: &'static str = include_str!("../example_out.yaml");
    const CHECKED: &'static str = "That the secrets are there, and that the server of the URL, and that of tokens, can be reached at an address that is allowed. No request is sent.";
}

impl SinkKind for HttpSinkKind {
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
        Ok(Arc::new(target(options)?))
    }
}

fn target(options: &Value) -> Result<HttpTarget, Vec<Fault>> {
    let options: HttpOut = typed(options)?;
    let mut faults = tls_faults(&options);
    faults.extend(batch_faults(&options));
    faults.extend(token_url_fault(&options));
    let url = match &options.url {
        OutUrl::Text(text) => UrlTemplate::parse(text).map(Some),
        OutUrl::Secret(_) => Ok(None),
    };
    match url {
        Ok(url) if faults.is_empty() => Ok(HttpTarget::new(url, options)),
        Ok(_) => Err(faults),
        Err(fault) => {
            faults.push(fault.at_pointer("/url"));
            Err(faults)
        }
    }
}

fn tls_faults(options: &HttpOut) -> Vec<Fault> {
    let Some(tls) = &options.tls else { return Vec::new() };
    let fault = |reason| Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/tls");
    let halves =
        (tls.certificate.is_some() != tls.key.is_some()).then(|| fault("`certificate` and `key` belong together"));
    let scheme = match &options.url {
        OutUrl::Text(url) if !url.starts_with("https:") => {
            Some(fault("`tls` is for https; the URL has another scheme"))
        }
        _ => None,
    };
    halves.into_iter().chain(scheme).collect()
}

fn batch_faults(options: &HttpOut) -> Vec<Fault> {
    let Some(batch) = &options.batch else { return Vec::new() };
    let fault = |reason, pointer| Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer);
    let bodiless = (!options.method.has_body()).then(|| fault("a batch needs POST, PUT or PATCH", "/batch"));
    let long = (batch.wait.length() > MAX_WAIT).then(|| fault("wants at most `60s`", "/batch/wait"));
    bodiless.into_iter().chain(long).collect()
}

fn token_url_fault(options: &HttpOut) -> Option<Fault> {
    let Some(OutAuth::Oauth2(auth)) = &options.auth else { return None };
    token_url(&auth.oauth2).err().map(|fault| fault.at_pointer("/auth/oauth2/token_url"))
}

fn token_url(oauth: &Oauth2) -> Result<UrlTemplate, Fault> {
    let url = UrlTemplate::parse(&oauth.token_url)?;
    let reason = "the token server's URL has no fields of the message";
    if url.is_static() { Ok(url) } else { Err(Fault::new(Code::ConfigInvalidValue, reason)) }
}

/// An HTTP server, without the values of its secrets.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// `None` where a secret is the URL.
    url: Option<UrlTemplate>,
    /// A hash of the URL's template, 16 hex digits.
    template: String,
    options: HttpOut,
}

impl HttpTarget {
    fn new(url: Option<UrlTemplate>, options: HttpOut) -> HttpTarget {
        // Nothing is filled in where a secret is the URL: no message carries it.
        let text = url.as_ref().map(UrlTemplate::as_str).unwrap_or_default();
        HttpTarget { template: blake3::hash(text.as_bytes()).to_hex().as_str()[..16].to_owned(), url, options }
    }

    fn referred(&self) -> impl Iterator<Item = &Secret> {
        let url = match &self.options.url {
            OutUrl::Secret(secret) => Some(secret),
            OutUrl::Text(_) => None,
        };
        let headers = self.options.headers.values().filter_map(|value| match value {
            HeaderValue::Secret(secret) => Some(secret),
            HeaderValue::Text(_) => None,
        });
        let auth = self.options.auth.as_ref().map(|auth| match auth {
            OutAuth::Bearer(auth) => &auth.bearer,
            OutAuth::Basic(auth) => &auth.basic.password,
            OutAuth::Oauth2(auth) => &auth.oauth2.client_secret,
        });
        let tls = self.options.tls.iter().flat_map(|tls| [&tls.ca, &tls.certificate, &tls.key]).flatten();
        url.into_iter().chain(headers).chain(auth).chain(tls)
    }

    /// The client's options.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a secret that is no URL.
    pub fn client(&self, secrets: &dyn Secrets) -> Result<SinkOptions, Fault> {
        let options = &self.options;
        Ok(SinkOptions {
            method: options.method,
            headers: self.headers(secrets)?,
            authorization: self.authorization(secrets)?,
            oauth: self.oauth(secrets)?,
            batch: options.batch.as_ref().map(|batch| batch.format),
            content_type: options.content_type.as_ref().map(|text| text.to_string()),
            tls: self.tls(secrets)?,
            timeout: options.timeout.length(),
            concurrency: options.concurrency as usize,
            redirects: if options.follow_redirects { REDIRECTS } else { 0 },
            retry: match options.retry {
                Retry::Safe => RetryMode::Safe,
                Retry::Always | Retry::Never => RetryMode::Default,
            },
            ..SinkOptions::new(self.url(secrets)?)
        })
    }

    fn url(&self, secrets: &dyn Secrets) -> Result<UrlTemplate, Fault> {
        match (&self.url, &self.options.url) {
            (Some(url), _) => Ok(url.clone()),
            (None, OutUrl::Secret(named)) => whole_url(&named.secret, secrets.get(&named.secret)?),
            (None, OutUrl::Text(_)) => Err(Fault::new(Code::InternalPanic, "a URL that did not compile")),
        }
    }

    fn headers(&self, secrets: &dyn Secrets) -> Result<Vec<(String, String)>, Fault> {
        let value = |value: &HeaderValue| match value {
            HeaderValue::Text(text) => Ok(text.to_string()),
            HeaderValue::Secret(named) => secrets.get(&named.secret).map(str::to_owned),
        };
        self.options.headers.iter().map(|(name, text)| Ok((name.clone(), value(text)?))).collect()
    }

    fn authorization(&self, secrets: &dyn Secrets) -> Result<Option<String>, Fault> {
        Ok(match &self.options.auth {
            None | Some(OutAuth::Oauth2(_)) => None,
            Some(OutAuth::Bearer(auth)) => Some(format!("Bearer {}", secrets.get(&auth.bearer.secret)?)),
            Some(OutAuth::Basic(auth)) => {
                let password = secrets.get(&auth.basic.password.secret)?;
                Some(format!("Basic {}", basic_credentials(&auth.basic.user, password)))
            }
        })
    }

    fn oauth(&self, secrets: &dyn Secrets) -> Result<Option<OauthOptions>, Fault> {
        let Some(OutAuth::Oauth2(auth)) = &self.options.auth else { return Ok(None) };
        let oauth = &auth.oauth2;
        Ok(Some(OauthOptions {
            token_url: token_url(oauth)?,
            client_id: oauth.client_id.to_string(),
            client_secret: secrets.get(&oauth.client_secret.secret)?.to_owned(),
            scopes: oauth.scopes.iter().map(|scope| scope.to_string()).collect(),
            audience: oauth.audience.as_ref().map(|audience| audience.to_string()),
            style: oauth.auth_style,
        }))
    }

    fn tls(&self, secrets: &dyn Secrets) -> Result<TlsOptions, Fault> {
        let Some(tls) = &self.options.tls else { return Ok(TlsOptions::default()) };
        TlsOptions::of(secrets, [&tls.ca, &tls.certificate, &tls.key])
    }
}

/// A secret that is a URL; the faults do not show it.
fn whole_url(name: &str, text: &str) -> Result<UrlTemplate, Fault> {
    let refused = |reason: &str| Fault::new(Code::ConfigInvalidValue, format!("the secret `{name}` {reason}"));
    let url = UrlTemplate::parse(text).map_err(|_| refused("is not a URL that an out can have"))?;
    if url.is_static() { Ok(url) } else { Err(refused("has braces; a URL that is a secret has no fields")) }
}

impl SinkSpec for HttpTarget {
    fn secrets(&self) -> Vec<&str> {
        self.referred().map(|secret| secret.secret.as_str()).collect()
    }

    fn describe(&self) -> String {
        let method = self.options.method.as_str();
        match &self.options.url {
            OutUrl::Text(text) => format!("{method} {}", &**text),
            OutUrl::Secret(named) => format!("{method} the URL in the secret {}", named.secret),
        }
    }

    fn route(&self) -> Route<'_> {
        Route::Lane
    }

    fn policy(&self) -> Policy {
        let never = self.options.retry == Retry::Never;
        Policy {
            batch: self.options.batch.as_ref().map_or(1, |batch| batch.messages as usize),
            workers: (self.options.concurrency as usize).max(1),
            retry_for: if never { Duration::ZERO } else { self.options.retry_for.length() },
            timeout: self.options.timeout.length(),
        }
    }

    fn gathering(&self) -> Option<Gathering> {
        let batch = self.options.batch.as_ref()?;
        Some(Gathering { bytes: batch.bytes as usize, wait: batch.wait.length() })
    }

    fn template(&self) -> Option<&dyn Template> {
        let has_placeholders = self.url.as_ref().is_some_and(|url| !url.is_static());
        has_placeholders.then_some(self as &dyn Template)
    }

    fn check(&self, secrets: &dyn Secrets, _: &Host<'_>) -> Result<(), Fault> {
        self.client(secrets).and_then(|options| check_options(&options)).map_err(|fault| fault.at_pointer(""))
    }

    fn open(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        Ok(Rc::new(HttpSink::new(self.client(secrets)?, host.tls, host.addresses)?))
    }
}

impl Template for HttpTarget {
    fn hash(&self) -> &str {
        &self.template
    }

    fn render(&self, document: &Document) -> Result<String, Fault> {
        match &self.url {
            Some(url) => url.render(|path| field(document, path)),
            None => Err(Fault::new(Code::InternalPanic, "a URL without fields")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::options::{BatchFormat, OauthStyle};

    /// Every secret has this value.
    struct Same(&'static str);

    impl Secrets for Same {
        fn get(&self, _: &str) -> Result<&str, Fault> {
            Ok(self.0)
        }
    }

    #[test]
    fn headers_and_tokens_are_filled_in_with_secrets() {
        let headers = json!({"X-A": {"secret": "key"}, "X-B": "b"});
        let auth = json!({"bearer": {"secret": "out"}});
        let out = target(&json!({"url": "https://e.example/{a}", "auth": auth, "retry": "never", "headers": headers}));
        let out = out.unwrap();
        let options = out.client(&Same("S")).unwrap();
        assert_eq!(options.authorization.as_deref(), Some("Bearer S"));
        assert_eq!(options.headers, [("X-A".to_owned(), "S".to_owned()), ("X-B".to_owned(), "b".to_owned())]);
        assert!(out.policy().retry_for.is_zero());
        assert!(out.template().is_some());
        assert_eq!(out.describe(), "POST https://e.example/{a}");
    }

    #[test]
    fn a_url_that_is_a_secret_is_known_when_the_out_opens() {
        let out = target(&json!({"url": {"secret": "hook"}, "method": "PUT"})).unwrap();
        assert!(out.template().is_none());
        assert_eq!((out.secrets(), out.describe()), (vec!["hook"], "PUT the URL in the secret hook".to_owned()));
        let url = "https://chat.example/T0/s3cret";
        assert_eq!(out.client(&Same(url)).unwrap().url.as_str(), url);
        for text in ["", "s3cret", "ftp://s3cret/", "https://e.example/{s3cret}"] {
            let fault = out.client(&Same(text)).unwrap_err();
            assert_eq!(fault.code(), Code::ConfigInvalidValue);
            assert!(fault.reason().contains("`hook`") && !fault.reason().contains("s3cret"), "{fault:?}");
        }
    }

    /// RFC 7617, 2.
    #[test]
    fn basic_credentials_are_user_and_password_in_base64() {
        let auth = json!({"basic": {"user": "Aladdin", "password": {"secret": "pw"}}});
        let out = target(&json!({"url": "https://e.example/", "auth": auth, "content_type": "text/xml"})).unwrap();
        assert_eq!(out.secrets(), ["pw"]);
        let options = out.client(&Same("open sesame")).unwrap();
        assert_eq!(options.authorization.as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(options.content_type.as_deref(), Some("text/xml"));
    }

    #[test]
    fn a_batch_gathers_by_count_bytes_and_time() {
        let out = target(&json!({"url": "https://e.example/", "batch": {}})).unwrap();
        let second = Duration::from_secs(1);
        assert_eq!((out.policy().batch, out.gathering()), (100, Some(Gathering { bytes: 1 << 20, wait: second })));
        assert_eq!(out.client(&Same("")).unwrap().batch, Some(BatchFormat::Array));
        let batch = json!({"format": "ndjson", "messages": 7, "bytes": 2_000, "wait": "250ms"});
        let out = target(&json!({"url": "https://e.example/", "batch": batch})).unwrap();
        let wait = Duration::from_millis(250);
        assert_eq!((out.policy().batch, out.gathering()), (7, Some(Gathering { bytes: 2_000, wait })));
        assert_eq!(out.client(&Same("")).unwrap().batch, Some(BatchFormat::Ndjson));
        let single = target(&json!({"url": "https://e.example/"})).unwrap();
        assert_eq!(
            (single.policy().batch, single.gathering(), single.client(&Same("")).unwrap().batch),
            (1, None, None)
        );
    }

    #[test]
    fn what_no_batch_or_token_can_be_is_refused_with_its_pointer() {
        let oauth = |url| json!({"oauth2": {"token_url": url, "client_id": "c", "client_secret": {"secret": "s"}}});
        for (more, pointer) in [
            (json!({"method": "GET", "batch": {}}), "/batch"),
            (json!({"method": "DELETE", "batch": {}}), "/batch"),
            (json!({"batch": {"wait": "61s"}}), "/batch/wait"),
            (json!({"auth": oauth("https://a.example/{tenant}/token")}), "/auth/oauth2/token_url"),
            (json!({"auth": oauth("ftp://a.example/token")}), "/auth/oauth2/token_url"),
            (json!({"auth": oauth("https://user@a.example/token")}), "/auth/oauth2/token_url"),
        ] {
            let mut options = json!({"url": "https://e.example/"});
            more.as_object().unwrap().iter().for_each(|(key, value)| options[key] = value.clone());
            let faults = target(&options).unwrap_err();
            let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.place().pointer.as_deref()).collect();
            assert_eq!(pointers, [pointer], "{options}");
        }
    }

    #[test]
    fn a_token_is_asked_for_with_the_customers_secret() {
        let oauth = json!({
            "token_url": "https://a.example/token",
            "client_id": "client",
            "client_secret": {"secret": "erp-client"},
            "scopes": ["orders.write"],
            "audience": "erp",
            "auth_style": "body",
        });
        let out = target(&json!({"url": "https://e.example/", "auth": {"oauth2": oauth}})).unwrap();
        assert_eq!(out.secrets(), ["erp-client"]);
        let options = out.client(&Same("s3cret")).unwrap();
        let oauth = options.oauth.unwrap();
        assert_eq!((oauth.client_id.as_str(), oauth.client_secret.as_str()), ("client", "s3cret"));
        assert_eq!((oauth.scopes, oauth.audience.as_deref()), (vec!["orders.write".to_owned()], Some("erp")));
        assert_eq!((oauth.style, options.authorization), (OauthStyle::Body, None));
    }
}
