//! Who may post.

use std::net::SocketAddr;

use http::{HeaderValue, Uri};
use message::{Code, Fault};

use super::headers::{Field, Found};
use super::routes::Auth;

/// `http/unauthorized` without the right token, `http/forbidden` for who is not of this machine.
pub(super) fn authorize(auth: &Auth, found: &Found<'_>, peer: SocketAddr) -> Result<(), Fault> {
    let token = match auth {
        Auth::None => return Ok(()),
        Auth::LoopbackOnly => return check_local(found, peer),
        Auth::Bearer(token) => token,
    };
    let refused = |reason: &str| Err(Fault::new(Code::HttpUnauthorized, reason));
    match found.authorization {
        Field::Absent => refused("the Authorization header is missing"),
        Field::Repeated => refused("the Authorization header stands there twice"),
        Field::Once(value) => match bearer(value.as_bytes()) {
            Some(presented) if token.matches(presented) => Ok(()),
            Some(_) => refused("the bearer token is wrong"),
            None => refused("the Authorization header has no bearer token"),
        },
    }
}

/// A peer on this machine; and if that is a browser, not on behalf of a page from elsewhere.
fn check_local(found: &Found<'_>, peer: SocketAddr) -> Result<(), Fault> {
    let refused = |reason: &str| Err(Fault::new(Code::HttpForbidden, reason));
    if !peer.ip().to_canonical().is_loopback() {
        return refused("without `auth` the path serves this machine only");
    }
    match found.origin {
        Field::Absent => Ok(()),
        Field::Once(origin) if is_local(origin) => Ok(()),
        _ => refused("without `auth` the path serves no pages from elsewhere"),
    }
}

fn is_local(origin: &HeaderValue) -> bool {
    let origin = Uri::try_from(origin.as_bytes()).ok().filter(|origin| origin.scheme().is_some());
    origin.is_some_and(|origin| matches!(origin.host(), Some("localhost" | "127.0.0.1" | "[::1]")))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn a_peer_from_elsewhere_needs_auth() {
        let headers = HeaderMap::new();
        let code = |peer: &str| {
            authorize(&Auth::LoopbackOnly, &Found::new(&headers), peer.parse().unwrap()).map_err(|fault| fault.code())
        };
        for local in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(code(local), Ok(()));
        }
        for foreign in ["10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(code(foreign), Err(Code::HttpForbidden), "{foreign}");
        }
    }
}
