//! The HTTP client of an out.
//!
//! ```text
//! Delivery ──► request.rs    URL, headers, Idempotency-Key         options.rs
//!              batch.rs      several of them in one request
//!              oauth/        a token for it
//!                 ▼
//!              connector.rs  resolve once, check (guard), dial, TLS  ── pooled connections
//!                 ▼
//!              answer.rs     status, Retry-After, body ──► Outcome   retry_after.rs
//!                 │
//!                 └── redirect.rs, when the out asks for it ──► again
//! ```
//!
//! It tries once: what `Retry` means, when and how often, is the host's business.

mod answer;
mod batch;
mod connector;
mod oauth;
mod options;
mod redirect;
mod request;
mod retry_after;
mod spec;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::iter;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use message::{Code, Fault};
use tokio::sync::Semaphore;

use super::guard::AddressPolicy;
use crate::contract::{Delivery, Health, LocalFuture, Outcome, Sink};
use answer::Answer;
use connector::{Connector, GuardedConnector};
use oauth::Tokens;
use request::{Outgoing, Template};

pub use options::{OauthOptions, RetryMode, SinkOptions};
pub use spec::HttpSinkKind;

pub use super::options::{BatchFormat, Method, OauthStyle};
pub use crate::tls::{Tls, TlsOptions};

type HttpClient = Client<Connector, Full<Bytes>>;

/// Idle connections are closed before most servers would close them under a request.
const POOL_IDLE: Duration = Duration::from_secs(30);
const LONGEST_HEAD: usize = 64 << 10;

/// One out of one pipeline. It has a pool of its own, so that no customer's requests wait for,
/// or travel on, another's connections.
pub struct HttpSink {
    options: SinkOptions,
    template: Template,
    dial: GuardedConnector,
    client: HttpClient,
    tokens: Option<Tokens>,
    turns: Semaphore,
}

/// Whether a sink can be made of these.
///
/// # Errors
/// `config/invalid-value` for a header that cannot be sent, or a certificate that cannot be used.
pub fn check_options(options: &SinkOptions) -> Result<(), Fault> {
    if !options.tls.is_default() {
        Tls::of(&options.tls)?;
    }
    tokens(options)?;
    Template::new(options).map(drop)
}

fn tokens(options: &SinkOptions) -> Result<Option<Tokens>, Fault> {
    options.oauth.as_ref().map(|oauth| Tokens::new(oauth, options.timeout)).transpose()
}

impl HttpSink {
    /// `config/invalid-value` for a header that cannot be sent, or a certificate that cannot be used. Connects to nothing yet.
    pub fn new(options: SinkOptions, tls: &Tls, policy: &AddressPolicy) -> Result<HttpSink, Fault> {
        let concurrency = options.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let tls = if options.tls.is_default() { tls.clone() } else { Tls::of(&options.tls)? };
        let dial = GuardedConnector::new(policy.clone(), options.connect_timeout);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(concurrency)
            .http1_max_buf_size(LONGEST_HEAD)
            .build(Connector::new(&tls, dial.clone()));
        let template = Template::new(&options)?;
        let tokens = tokens(&options)?;
        Ok(HttpSink { turns: Semaphore::new(concurrency), template, dial, client, tokens, options })
    }

    /// TCP to the server, closed at once: no TLS, no byte, so that no server counts or logs a request.
    async fn reach(&self) -> Result<(), Fault> {
        let unusable = |_| Fault::new(Code::HttpBadUrl, "the URL cannot be used");
        let origin = self.options.url.origin().parse().map_err(unusable)?;
        self.dial.connect(&origin).await.map(drop)
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Outcome {
        match self.template.request(&self.options, delivery) {
            Ok(request) => self.send(request).await.outcome,
            Err(fault) => Outcome::Permanent(fault),
        }
    }

    /// In its turn; with a token, where the out needs one.
    async fn send(&self, request: Outgoing) -> Answer {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        match &self.tokens {
            Some(tokens) => self.send_with(tokens, request).await,
            None => redirect::send(&self.client, &self.options, request).await,
        }
    }

    /// A token that is refused is replaced once. One that was just made and is refused as well is the fault of no
    /// message.
    async fn send_with(&self, tokens: &Tokens, request: Outgoing) -> Answer {
        let mut refused = None;
        loop {
            let token = match tokens.get(&self.client, refused.as_ref()).await {
                Ok(token) => token,
                Err(outcome) => return outcome.into(),
            };
            let mut with_token = request.clone();
            with_token.configured.insert(AUTHORIZATION, token.authorization.clone());
            let answer = redirect::send(&self.client, &self.options, with_token).await;
            if answer.status != Some(StatusCode::UNAUTHORIZED) {
                return answer;
            }
            if refused.is_some() {
                let fault = Fault::new(Code::HttpOauthTokenRejected, "the server answered 401 to a new token");
                return Outcome::Retry { fault, after: None }.into();
            }
            refused = Some(token);
        }
    }

    /// Requests at a time: the turns see to it that they are no more over all batches.
    async fn one_by_one(&self, batch: &[Delivery<'_>]) -> Vec<Outcome> {
        let concurrency = self.options.concurrency.max(1);
        let deliver = async |(position, delivery)| (position, self.deliver(delivery).await);
        // In the order of their ends: a slow one must not hold up those behind it.
        let outcomes = iter(batch.iter().enumerate()).map(deliver).buffer_unordered(concurrency).collect().await;
        in_order(outcomes)
    }

    fn is_ordered(&self) -> bool {
        self.options.concurrency <= 1
    }

    async fn together(&self, format: BatchFormat, batch: &[Delivery<'_>]) -> Vec<Outcome> {
        let concurrency = self.options.concurrency.max(1);
        let (frames, mut outcomes) = batch::frames(format, batch, self.is_ordered());
        if self.is_ordered() {
            outcomes.extend(batch::send_in_order(&frames, self).await);
            return in_order(outcomes);
        }
        let sent: Vec<_> = iter(&frames).map(|frame| frame.send(self)).buffer_unordered(concurrency).collect().await;
        outcomes.extend(sent.into_iter().flatten());
        in_order(outcomes)
    }
}

/// One for each delivery of a batch, by its position.
fn in_order(mut outcomes: Vec<(usize, Outcome)>) -> Vec<Outcome> {
    outcomes.sort_unstable_by_key(|(position, _)| *position);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

impl Sink for HttpSink {
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.reach().await?;
            match &self.tokens {
                Some(tokens) => self.dial.connect(tokens.url()).await.map(drop),
                None => Ok(()),
            }
        })
    }

    /// The token is the first one that requests have.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.reach().await?;
            let Some(tokens) = &self.tokens else { return Ok(()) };
            match tokens.get(&self.client, None).await {
                Err(Outcome::Retry { fault, .. } | Outcome::Permanent(fault)) => Err(fault),
                Ok(_) | Err(Outcome::Delivered) => Ok(()),
            }
        })
    }

    /// Between requests it knows nothing of its server.
    fn health(&self) -> Health {
        Health::Up
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            match self.options.batch {
                Some(format) => self.together(format, batch).await,
                None => self.one_by_one(batch).await,
            }
        })
    }

    /// Nothing is pending then; idle connections go with the pool.
    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
