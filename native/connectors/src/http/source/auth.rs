//! Who may post.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use message::{Code, Fault};

use super::headers::{Field, Found};
use super::routes::{Auth, Scheme};

/// `http/unauthorized` without what a sender has to know, `http/forbidden` for who is not of this machine.
pub(super) fn authorize(auth: &Auth, found: &Found<'_>, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Fault> {
    let (scheme, tokens) = match auth {
        Auth::None => return Ok(()),
        Auth::LoopbackOnly => return check_local(found, peer),
        Auth::Presents(scheme, tokens) => (scheme, tokens),
    };
    let presented = match scheme {
        Scheme::Bearer => authorization(found, b"Bearer ", "bearer token")?,
        Scheme::Basic => authorization(found, b"Basic ", "user and password")?,
        Scheme::Header(name) => key(headers, name)?,
    };
    // Each is compared, so that the time does not tell which one it is.
    let is_known = tokens.iter().fold(false, |known, token| known | token.matches(presented));
    if is_known { Ok(()) } else { Err(unauthorized("what the request presents is wrong")) }
}

fn unauthorized(reason: impl Into<String>) -> Fault {
    Fault::new(Code::HttpUnauthorized, reason)
}

fn authorization<'a>(found: &Found<'a>, scheme: &[u8], what: &str) -> Result<&'a [u8], Fault> {
    let value = match found.authorization {
        Field::Absent => return Err(unauthorized("the Authorization header is missing")),
        Field::Repeated => return Err(unauthorized("the Authorization header stands there twice")),
        Field::Once(value) => value.as_bytes(),
    };
    let rest = value.split_at_checked(scheme.len()).filter(|(start, _)| start.eq_ignore_ascii_case(scheme));
    rest.map(|(_, rest)| rest.trim_ascii())
        .ok_or_else(|| unauthorized(format!("the Authorization header has no {what}")))
}

fn key<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a [u8], Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes().trim_ascii()),
        (None, _) => Err(unauthorized(format!("the header {name} is missing"))),
        (Some(_), Some(_)) => Err(unauthorized(format!("the header {name} stands there twice"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_from_elsewhere_needs_auth() {
        let headers = HeaderMap::new();
        let code = |peer: &str| {
            authorize(&Auth::LoopbackOnly, &Found::new(&headers), &headers, peer.parse().unwrap())
                .map_err(|fault| fault.code())
        };
        for local in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(code(local), Ok(()));
        }
        for foreign in ["10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(code(foreign), Err(Code::HttpForbidden), "{foreign}");
        }
    }
}
