//! From a name to a connection: the name is resolved once, each address is checked, and a checked address is dialled.
//! No proxy, no second lookup.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::http::guard::{AddressPolicy, numeric_host};

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// The address may not be dialled.
    Refused(String),
    /// It was not there in time.
    Late(String),
    /// The name has no address, or nobody answers there.
    Unreachable(String),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (DialError::Refused(reason) | DialError::Late(reason) | DialError::Unreachable(reason)) = self;
        f.write_str(reason)
    }
}

/// Name lookup, check, and TCP.
///
/// # Errors
/// See [`DialError`].
pub async fn dial(policy: &AddressPolicy, host: &str, port: u16, deadline: Instant) -> Result<TcpStream, DialError> {
    let late = || DialError::Late(format!("no connection to {host}:{port} in time"));
    let addresses = timeout_at(deadline, resolve(host, port)).await.map_err(|_| late())??;
    let allowed = allowed(policy, host, &addresses)?;
    let mut last = late();
    for (tried, address) in allowed.iter().enumerate() {
        if policy.is_home(*address) {
            return Err(leads_home());
        }
        // The time that is left is shared by the addresses that are left.
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(allowed.len() - tried).unwrap_or(1);
        last = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // What is written is written at once; waiting for more would only delay it.
                let _ = stream.set_nodelay(true);
                return not_home(policy, stream, *address);
            }
            Ok(Err(error)) => unreachable(host, port, &error),
            Err(_) => late(),
        };
    }
    Err(last)
}

fn not_home(policy: &AddressPolicy, stream: TcpStream, to: SocketAddr) -> Result<TcpStream, DialError> {
    let is_home = stream.local_addr().is_ok_and(|from| policy.leads_home(to, from.ip()));
    if is_home { Err(leads_home()) } else { Ok(stream) }
}

fn leads_home() -> DialError {
    let reason = "the URL leads to this node itself; the operator can allow that by the address's network";
    DialError::Refused(reason.into())
}

fn allowed(policy: &AddressPolicy, host: &str, addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, DialError> {
    let allowed: Vec<SocketAddr> = addresses.iter().filter(|address| policy.allows(address.ip())).copied().collect();
    match (allowed.is_empty(), addresses.first()) {
        (false, _) => Ok(allowed),
        (true, Some(first)) => Err(DialError::Refused(AddressPolicy::refusal(first.ip()))),
        (true, None) => Err(DialError::Unreachable(format!("the name {host} has no address"))),
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    if numeric_host(host) {
        return Err(DialError::Refused("the host is a number in disguise".into()));
    }
    // URLs keep the brackets of an IPv6 address.
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(unreachable(host, port, &error)),
    }
}

fn unreachable(host: &str, port: u16, error: &std::io::Error) -> DialError {
    DialError::Unreachable(format!("no connection to {host}:{port}: {error}"))
}
