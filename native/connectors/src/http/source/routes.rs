//! Which pipeline a path belongs to, who may post there, and what.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use message::{Code, Fault, check_name};
use subtle::ConstantTimeEq;

use super::media::Accept;
use crate::http::basic_credentials;

/// The routes of all customers; each is served at `/in/<customer><path>`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<HashMap<Box<str>, Arc<Route>>>);

#[derive(Clone, Debug)]
pub struct Route {
    /// What `Incoming.binding` says.
    pub binding: u32,
    pub auth: Auth,
    /// Body, bytes.
    pub max_body: usize,
    pub accept: Accept,
    pub passes: Passes,
}

/// What goes on with a message beside the headers that always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    pub headers: Vec<HeaderName>,
    /// Parameters of the query, each as the header `Query-NAME`.
    pub query: Vec<String>,
}

/// Who may post.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Anybody: `auth: none` was written.
    None,
    /// Peers on this machine: no `auth` was written.
    LoopbackOnly,
    /// Whoever presents one of these, by the way that is said: several while they are changed.
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
pub struct Token(blake3::Hash);

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
        Ok(Token(blake3::hash(token.as_bytes())))
    }

    /// As Basic presents user and password.
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Token {
        Token(blake3::hash(basic_credentials(user, password).as_bytes()))
    }

    /// In a time that tells neither how much of it was right nor how long the right one is: two
    /// hashes of one length are compared.
    pub(super) fn matches(&self, presented: &[u8]) -> bool {
        blake3::hash(presented).as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Routes {
    #[must_use]
    pub fn new() -> Routes {
        Routes::default()
    }

    /// `config/conflict` when the customer already has a route there, `config/invalid-name` and
    /// `config/invalid-value` for a customer or a path that cannot be served.
    pub fn insert(&mut self, customer: &str, path: &str, route: Route) -> Result<(), Fault> {
        match Arc::make_mut(&mut self.0).entry(address(customer, path)?) {
            Entry::Occupied(taken) => {
                Err(Fault::new(Code::ConfigConflict, format!("two pipelines claim {}", taken.key())))
            }
            Entry::Vacant(free) => {
                free.insert(Arc::new(route));
                Ok(())
            }
        }
    }

    /// Puts a route in place of the one that is there, if one is: a revision in place of the one before it.
    ///
    /// # Errors
    /// `config/invalid-name` and `config/invalid-value` for a customer or a path that cannot be served.
    pub fn replace(&mut self, customer: &str, path: &str, route: Route) -> Result<(), Fault> {
        Arc::make_mut(&mut self.0).insert(address(customer, path)?, Arc::new(route));
        Ok(())
    }

    /// Takes a route out, unless another binding has replaced it.
    pub fn remove(&mut self, customer: &str, path: &str, binding: u32) {
        let Ok(address) = address(customer, path) else { return };
        if self.0.get(&address).is_some_and(|route| route.binding == binding) {
            Arc::make_mut(&mut self.0).remove(&address);
        }
    }

    /// Who takes what is posted to a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<Route>> {
        self.0.get(path).cloned()
    }
}

/// `/in/<customer><path>`
fn address(customer: &str, path: &str) -> Result<Box<str>, Fault> {
    check_name(customer).map_err(|error| {
        Fault::new(Code::ConfigInvalidName, format!("the customer `{}` {}", customer.escape_debug(), error.0))
    })?;
    check_path(path).map_err(|reason| Fault::new(Code::ConfigInvalidValue, format!("the path {path:?} {reason}")))?;
    Ok(format!("/in/{customer}{path}").into())
}

/// Paths are compared byte by byte, so only those are allowed that have one way to be written.
fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("has to start with `/`");
    }
    if path.len() > 512 {
        return Err("is longer than 512 bytes");
    }
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b)) {
        return Err("may hold only letters, digits and /-._~");
    }
    if path.split('/').skip(1).any(|part| matches!(part, "." | "..")) {
        return Err("must not have the parts `.` or `..`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(binding: u32) -> Route {
        Route { binding, auth: Auth::None, max_body: 10, accept: Accept::ALL, passes: Passes::default() }
    }

    #[test]
    fn a_path_belongs_to_one_pipeline_of_one_customer() {
        let mut routes = Routes::new();
        routes.insert("acme", "/orders", route(1)).unwrap();
        routes.insert("zeta", "/orders", route(2)).unwrap();
        let kept = routes.clone();
        assert_eq!(routes.insert("acme", "/orders", route(3)).unwrap_err().code(), Code::ConfigConflict);
        routes.insert("acme", "/", route(4)).unwrap();
        assert_eq!(routes.get("/in/acme/orders").unwrap().binding, 1);
        assert_eq!(routes.get("/in/zeta/orders").unwrap().binding, 2);
        assert!(routes.get("/in/acme/orders/").is_none() && kept.get("/in/acme/").is_none());
    }

    #[test]
    fn a_route_is_replaced_and_removed_alone() {
        let mut routes = Routes::new();
        routes.replace("acme", "/orders", route(1)).unwrap();
        routes.replace("acme", "/orders", route(2)).unwrap();
        routes.remove("acme", "/orders", 1);
        assert_eq!(routes.get("/in/acme/orders").map(|route| route.binding), Some(2));
        routes.remove("acme", "/orders", 2);
        assert!(routes.get("/in/acme/orders").is_none());
        assert!(routes.replace("A", "/x", route(0)).is_err() && routes.replace("acme", "x", route(0)).is_err());
    }

    #[test]
    fn names_and_paths_that_cannot_be_served_are_refused() {
        let mut routes = Routes::new();
        assert_eq!(routes.insert("A", "/x", route(0)).unwrap_err().code(), Code::ConfigInvalidName);
        for bad in ["", "x", "/a b", "/a?b", "/a%20", "/../x", "/a/.", "/ä", "/a\r\n", &format!("/{}", "x".repeat(512))]
        {
            assert_eq!(routes.insert("acme", bad, route(0)).unwrap_err().code(), Code::ConfigInvalidValue, "{bad}");
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
