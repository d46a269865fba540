//! The HTTP client of an out.
//!
//! ```text
//! Delivery ──► request.rs    URL, headers, Idempotency-Key         options.rs
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
mod connector;
mod options;
mod redirect;
mod request;
mod retry_after;
mod spec;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::iter;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use message::{Code, Fault};
use tokio::sync::Semaphore;

use super::guard::AddressPolicy;
use crate::contract::{Delivery, Health, LocalFuture, Outcome, Sink};
use connector::{Connector, GuardedConnector};
use request::Template;

pub use options::{RetryMode, SinkOptions};
pub use spec::HttpSinkKind;

pub use super::options::Method;
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
    Template::new(options).map(drop)
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
        Ok(HttpSink { turns: Semaphore::new(concurrency), template, dial, client, options })
    }

    /// TCP to the server, closed at once: no TLS, no byte, so that no server counts or logs a request.
    async fn reach(&self) -> Result<(), Fault> {
        let unusable = |_| Fault::new(Code::HttpBadUrl, "the URL cannot be used");
        let origin = self.options.url.origin().parse().map_err(unusable)?;
        self.dial.connect(&origin).await.map(drop)
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Outcome {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        match self.template.request(&self.options, delivery) {
            Ok(request) => redirect::send(&self.client, &self.options, request).await,
            Err(fault) => Outcome::Permanent(fault),
        }
    }
}

impl Sink for HttpSink {
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(self.reach())
    }

    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(self.reach())
    }

    /// Between requests it knows nothing of its server.
    fn health(&self) -> Health {
        Health::Up
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let concurrency = self.options.concurrency.max(1);
            let deliver = async |(position, delivery)| (position, self.deliver(delivery).await);
            // In the order of their ends: a slow one must not hold up those behind it.
            let mut outcomes: Vec<(usize, Outcome)> =
                iter(batch.iter().enumerate()).map(deliver).buffer_unordered(concurrency).collect().await;
            outcomes.sort_unstable_by_key(|(position, _)| *position);
            outcomes.into_iter().map(|(_, outcome)| outcome).collect()
        })
    }

    /// Nothing is pending then; idle connections go with the pool.
    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
