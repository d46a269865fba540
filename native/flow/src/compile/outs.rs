//! `out`, compiled.

use std::borrow::Cow;
use std::time::Duration;

use connectors::http::UrlTemplate;
use connectors::http::sink::{Method as SinkMethod, RetryMode, SinkOptions};
use message::{Document, Fault, Kind, Path, Segment};

use super::Pipeline;
use crate::model::{HeaderValue, HttpOut, Method, NatsMode, Out, Outs, Retry};

/// One out.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub kind: OutKind,
}

/// What an out writes to.
#[derive(Clone, Debug)]
pub enum OutKind {
    Http(Box<HttpTarget>),
    File {
        path: String,
    },
    Stdout,
    Nats {
        subject: String,
        mode: NatsMode,
        /// The stream that has to take the message, when one is named.
        stream: Option<String>,
    },
}

/// An HTTP server, without the values of its secrets.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    pub url: UrlTemplate,
    /// How long a message is tried; zero when `retry: never`.
    pub retry_for: Duration,
    /// A hash of the URL's template, 16 hex digits.
    template: String,
    model: HttpOut,
}

/// The URLs of one message, by the position of their out: only outs that have placeholders are in it.
pub type Urls = Vec<(usize, Result<String, Fault>)>;

impl HttpTarget {
    fn render(&self, document: &Document) -> Result<String, Fault> {
        self.url.render(|path| field(document, path))
    }

    /// The client's options. `secret` gives the value of a secret of the customer.
    ///
    /// # Errors
    /// Those of `secret`.
    pub fn options<'s>(&self, mut secret: impl FnMut(&str) -> Result<&'s str, Fault>) -> Result<SinkOptions, Fault> {
        let model = &self.model;
        let mut headers = Vec::with_capacity(model.headers.len());
        for (name, value) in &model.headers {
            let value = match value {
                HeaderValue::Text(text) => text.to_string(),
                HeaderValue::Secret(named) => secret(&named.secret)?.to_owned(),
            };
            headers.push((name.clone(), value));
        }
        let bearer = model.auth.as_ref().map(|auth| secret(&auth.bearer.secret)).transpose()?;
        Ok(SinkOptions {
            method: match model.method {
                Method::Post => SinkMethod::Post,
                Method::Put => SinkMethod::Put,
                Method::Patch => SinkMethod::Patch,
            },
            headers,
            authorization: bearer.map(|token| format!("Bearer {token}")),
            timeout: model.timeout.length(),
            concurrency: model.concurrency as usize,
            redirects: if model.follow_redirects { REDIRECTS } else { 0 },
            retry: match model.retry {
                Retry::Safe => RetryMode::Safe,
                Retry::Always | Retry::Never => RetryMode::Default,
            },
            ..SinkOptions::new(self.url.clone())
        })
    }
}

/// As the documentation of `follow_redirects` says.
const REDIRECTS: u32 = 5;

impl Target {
    /// The URL for one message; `None` for an out that has none.
    ///
    /// # Errors
    /// `http/bad-url`, with the field whose value makes no URL.
    pub fn url(&self, document: &Document) -> Result<Option<String>, Fault> {
        match &self.kind {
            OutKind::Http(http) => http.render(document).map(Some),
            _ => Ok(None),
        }
    }

    /// The URL in what a message carries from [`Pipeline::urls`]; `None` when another template made it, since the
    /// pipeline may have been replaced in between.
    ///
    /// [`Pipeline::urls`]: super::Pipeline::urls
    #[must_use]
    pub fn carried<'u>(&self, text: &'u str) -> Option<&'u str> {
        let OutKind::Http(http) = &self.kind else { return None };
        text.strip_prefix(&*http.template)?.strip_prefix(' ')
    }

    /// Whether the URL has placeholders, which a message's fields fill in.
    pub(super) fn reads_payload(&self) -> bool {
        matches!(&self.kind, OutKind::Http(http) if !http.url.is_static())
    }

    pub(crate) fn secrets(&self) -> Vec<&str> {
        let OutKind::Http(http) = &self.kind else { return Vec::new() };
        let headers = http.model.headers.values().filter_map(|value| match value {
            HeaderValue::Secret(secret) => Some(secret.secret.as_str()),
            HeaderValue::Text(_) => None,
        });
        headers.chain(http.model.auth.as_ref().map(|auth| auth.bearer.secret.as_str())).collect()
    }
}

impl Pipeline {
    /// The URLs with placeholders of these outs, as the message carries them. What is emitted does not say how
    /// it is to be read: its numbers, its attributes are known to the document alone.
    #[must_use]
    pub fn urls(&self, document: &Document, outs: message::Outs) -> Urls {
        let chosen = outs.iter().filter_map(|out| Some((out, self.outs.get(out)?)));
        let urls = chosen.filter_map(|(out, target)| match &target.kind {
            OutKind::Http(http) if target.reads_payload() => {
                Some((out, http.render(document).map(|url| format!("{} {url}", http.template))))
            }
            _ => None,
        });
        urls.collect()
    }
}

/// The text of a scalar field, as it stands in a URL.
fn field<'d>(document: &'d Document, path: &Path) -> Option<Cow<'d, str>> {
    let value = path.segments().iter().try_fold(document.root(), |value, segment| match segment {
        Segment::Key(name) => value.get(name),
        Segment::Index(index) => value.index(*index as usize),
    })?;
    match value.kind() {
        Kind::True => Some(Cow::Borrowed("true")),
        Kind::False => Some(Cow::Borrowed("false")),
        _ => value.text(),
    }
}

pub fn compile(outs: &Outs, faults: &mut Vec<Fault>) -> Box<[Target]> {
    let targets = outs.list().into_iter().filter_map(|(name, out, pointer)| {
        let kind = match out {
            Out::Http(http) => match UrlTemplate::parse(&http.url) {
                Ok(url) => OutKind::Http(Box::new(HttpTarget {
                    url,
                    template: blake3::hash(http.url.as_bytes()).to_hex().as_str()[..16].to_owned(),
                    retry_for: if http.retry == Retry::Never { Duration::ZERO } else { http.retry_for.length() },
                    model: http.clone(),
                })),
                Err(fault) => {
                    faults.push(fault.at_pointer(format!("{pointer}/http/url")));
                    return None;
                }
            },
            Out::File(file) => OutKind::File { path: file.path.clone() },
            Out::Stdout(_) => OutKind::Stdout,
            Out::Nats(nats) => {
                OutKind::Nats { subject: nats.subject.clone(), mode: nats.mode, stream: nats.stream.clone() }
            }
        };
        Some(Target { name: name.to_owned(), kind })
    });
    targets.collect()
}
