//! Who may post.

use std::fmt;
use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use message::{Code, Fault};
use subtle::ConstantTimeEq as _;

use super::headers::{Field, Found};
use crate::http::basic_credentials;

/// Who may post.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Anybody: `auth: none` was written.
    None,
    /// Peers on this machine: no `auth` was written.
    LoopbackOnly,
    /// Whoever presents one of these, by the way that is said: several while they are changed, or one for each sender.
    Presents(Scheme, Vec<Token>),
}

/// How a sender presents what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer TOKEN`
    Bearer,
    /// `Authorization: Basic ...`, RFC 7617
    Basic,
    /// A header of its own.
    Header(HeaderName),
}

impl Auth {
    #[must_use]
    pub fn bearer(token: Token) -> Auth {
        Auth::Presents(Scheme::Bearer, vec![token])
    }

    /// What a 401 asks for, `WWW-Authenticate`.
    pub(super) fn challenge(&self) -> HeaderValue {
        match self {
            Auth::Presents(Scheme::Basic, _) => HeaderValue::from_static("Basic realm=\"vrsky\", charset=\"UTF-8\""),
            // There is no registered scheme for a header of one's own (RFC 9110, 11.6.1 asks for one all the same).
            Auth::Presents(Scheme::Header(_), _) => HeaderValue::from_static("ApiKey"),
            _ => HeaderValue::from_static("Bearer"),
        }
    }
}

/// A bearer token, an API key, or the credentials of Basic, kept as their hash.
#[derive(Clone)]
pub struct Token {
    hash: blake3::Hash,
    /// What the messages say in `Auth-name` when it was this one.
    name: Option<Box<str>>,
    /// Who presents it, where that has more than one.
    sender: Option<Box<str>>,
}

impl Token {
    /// `config/invalid-value` unless the token can stand in a header: printable ASCII without
    /// blanks, at least one character.
    pub fn new(token: &str) -> Result<Token, Fault> {
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Fault::new(
                Code::ConfigInvalidValue,
                "a token or key has to be printable ASCII without blanks",
            ));
        }
        Ok(Token { hash: blake3::hash(token.as_bytes()), name: None, sender: None })
    }

    /// As Basic presents user and password.
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Token {
        Token { hash: blake3::hash(basic_credentials(user, password).as_bytes()), name: None, sender: None }
    }

    /// With a name, such as that of the secret, by which people tell it from others.
    #[must_use]
    pub fn named(self, name: &str) -> Token {
        Token { name: Some(name.into()), ..self }
    }

    /// One of several of this sender.
    #[must_use]
    pub fn of_sender(self, sender: &str) -> Token {
        Token { sender: Some(sender.into()), ..self }
    }

    pub(super) fn sender(&self) -> Option<&str> {
        self.sender.as_deref().or(self.name())
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// In a time that tells neither how much of it was right nor how long the right one is: two
    /// hashes of one length are compared.
    pub(super) fn matches(&self, presented: &[u8]) -> bool {
        blake3::hash(presented).as_bytes().ct_eq(self.hash.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What the sender knows, where it has to know something. `http/unauthorized` without what a sender has to know,
/// `http/forbidden` for who is not of this machine.
pub(super) fn authorize<'a>(
    auth: &'a Auth,
    found: &Found<'_>,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Option<&'a Token>, Fault> {
    let (scheme, tokens) = match auth {
        Auth::None => return Ok(None),
        Auth::LoopbackOnly => return check_local(found, peer).map(|()| None),
        Auth::Presents(scheme, tokens) => (scheme, tokens),
    };
    let presented = match scheme {
        Scheme::Bearer => authorization(found, b"Bearer ", "bearer token")?,
        Scheme::Basic => authorization(found, b"Basic ", "user and password")?,
        Scheme::Header(name) => key(headers, name)?,
    };
    match known(tokens, presented) {
        Some(token) => Ok(Some(token)),
        None => Err(unauthorized("what the request presents is wrong")),
    }
}

/// Each is compared, so that the time does not tell which one it is.
pub(super) fn known<'a>(tokens: &'a [Token], presented: &[u8]) -> Option<&'a Token> {
    tokens.iter().fold(None, |known, token| if token.matches(presented) { Some(token) } else { known })
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
pub(super) fn check_local(found: &Found<'_>, peer: SocketAddr) -> Result<(), Fault> {
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
                .map(|token| token.is_some())
                .map_err(|fault| fault.code())
        };
        for local in ["127.0.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(code(local), Ok(false));
        }
        for foreign in ["10.0.0.1:1", "[fe80::1]:1", "[::ffff:10.0.0.1]:1"] {
            assert_eq!(code(foreign), Err(Code::HttpForbidden), "{foreign}");
        }
    }

    #[test]
    fn only_the_whole_token_matches_and_it_is_never_shown() {
        let token = Token::new("s3cret").unwrap();
        assert!(token.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3cret ", b"S3cret", b"s3cret\0"] {
            assert!(!token.matches(wrong));
        }
        assert!(!format!("{token:?}").contains("s3cret"));
        for bad in ["", "a b", "a\n", "ä"] {
            assert!(Token::new(bad).is_err());
        }
    }
}
