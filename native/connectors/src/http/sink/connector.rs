//! From a URL to a connection: a checked address, TLS, and one timeout for both.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use message::{Code, Fault};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::dial::{DialError, dial};
use crate::http::guard::AddressPolicy;
use crate::http::template::port;
use crate::tls::Tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Connecting<S, E> = Pin<Box<dyn Future<Output = Result<S, E>> + Send>>;

/// TCP, and TLS for https, within one timeout: a server that accepts and then says nothing is one
/// that does not connect.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<GuardedConnector>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(tls: &Tls, guarded: GuardedConnector) -> Connector {
        let timeout = guarded.timeout;
        Connector { https: HttpsConnector::from((guarded, tls.client())), timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.https.call(url));
        Box::pin(async move {
            let late = || NoConnection(Fault::new(Code::HttpTimeout, "no connection in time"));
            connecting.await.map_err(|_| late())?
        })
    }
}

/// TCP to checked addresses. The name is what TLS verifies later.
#[derive(Clone)]
pub(super) struct GuardedConnector {
    policy: Arc<AddressPolicy>,
    timeout: Duration,
}

/// Why there is no connection; found again in the client's error chain.
#[derive(Debug)]
pub(super) struct NoConnection(pub(super) Fault);

impl std::fmt::Display for NoConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.reason())
    }
}

impl std::error::Error for NoConnection {}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = NoConnection;
    type Future = Connecting<Self::Response, NoConnection>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let stream = connector.connect(&url).await.map_err(NoConnection)?;
            Ok(TokioIo::new(stream))
        })
    }
}

impl GuardedConnector {
    pub(super) fn new(policy: AddressPolicy, timeout: Duration) -> GuardedConnector {
        GuardedConnector { policy: Arc::new(policy), timeout }
    }

    /// Within the timeout: name lookup, check, and TCP.
    pub(super) async fn connect(&self, url: &Uri) -> Result<TcpStream, Fault> {
        let host = url.host().unwrap_or_default();
        let port = port(url).ok_or_else(|| Fault::new(Code::HttpBadUrl, "the URL has an unusable port"))?;
        let stream = dial(&self.policy, host, port, Instant::now() + self.timeout).await;
        stream.map_err(|error| Fault::new(code(&error), error.to_string()))
    }
}

fn code(error: &DialError) -> Code {
    match error {
        DialError::Refused(_) => Code::HttpRefusedAddress,
        DialError::Late(_) => Code::HttpTimeout,
        DialError::Unreachable(_) => Code::HttpConnect,
    }
}
