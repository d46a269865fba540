//! From a URL to a connection: the name is resolved once, each address is checked, and a checked
//! address is dialled. No proxy, no second lookup.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use message::{Code, Fault};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service;

use crate::http::guard::{AddressPolicy, numeric_host};
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
        let deadline = Instant::now() + self.timeout;
        let host = url.host().unwrap_or_default();
        let port = port(url).ok_or_else(|| Fault::new(Code::HttpBadUrl, "the URL has an unusable port"))?;
        let late = || Fault::new(Code::HttpTimeout, format!("no connection to {host}:{port} in time"));
        let addresses = timeout_at(deadline, resolve(host, port)).await.map_err(|_| late())??;
        let allowed = self.allowed(host, &addresses)?;
        let mut last = late();
        for (tried, address) in allowed.iter().enumerate() {
            // The time that is left is shared by the addresses that are left.
            let now = Instant::now();
            let share = deadline.saturating_duration_since(now) / u32::try_from(allowed.len() - tried).unwrap_or(1);
            last = match timeout_at(now + share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // A request is written at once; waiting for more would only delay it.
                    let _ = stream.set_nodelay(true);
                    return self.not_home(stream, *address);
                }
                Ok(Err(error)) => unreachable(host, port, &error),
                Err(_) => late(),
            };
        }
        Err(last)
    }

    fn not_home(&self, stream: TcpStream, to: SocketAddr) -> Result<TcpStream, Fault> {
        let is_home = stream.local_addr().is_ok_and(|from| self.policy.leads_home(to, from.ip()));
        let reason = "the URL leads to this node itself; the operator can allow that by the address's network";
        if is_home { Err(Fault::new(Code::HttpRefusedAddress, reason)) } else { Ok(stream) }
    }

    fn allowed(&self, host: &str, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, Fault> {
        let allowed: Vec<SocketAddr> =
            addresses.iter().filter(|address| self.policy.allows(address.ip())).copied().collect();
        match (allowed.is_empty(), addresses.first()) {
            (false, _) => Ok(allowed),
            (true, Some(first)) => Err(self.policy.check(first.ip()).err().unwrap_or_else(|| no_address(host))),
            (true, None) => Err(no_address(host)),
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    if numeric_host(host) {
        return Err(Fault::new(Code::HttpRefusedAddress, "the host is a number in disguise"));
    }
    // `Uri` keeps the brackets of an IPv6 address.
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(unreachable(host, port, &error)),
    }
}

fn no_address(host: &str) -> Fault {
    Fault::new(Code::HttpConnect, format!("the name {host} has no address"))
}

fn unreachable(host: &str, port: u16, error: &io::Error) -> Fault {
    Fault::new(Code::HttpConnect, format!("no connection to {host}:{port}: {error}"))
}
