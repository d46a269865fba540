//! Which pipeline a path belongs to, who may post there, and what.
//!
//! A path without parameters is looked up as it stands, before those with parameters (`path.rs`).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use message::{Code, Fault, check_name};

use super::auth::Auth;
use super::handshake::Handshake;
use super::media::Accept;
use super::path::{self, Parameters, Pattern};
use super::signature::Signature;

/// Of a path that can be served, with `/in/CUSTOMER` before it.
const MAX_PARTS: usize = path::MAX_LENGTH + 2;

/// The routes of all customers; each is served at `/in/<customer><path>`. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<Table>);

#[derive(Clone, Debug, Default)]
struct Table {
    fixed: HashMap<Box<str>, Arc<Route>>,
    /// Of each customer, in the order in which they are tried.
    patterns: HashMap<Box<str>, Vec<Pattern>>,
}

/// A route, and what its path's parameters are for one request.
#[derive(Clone, Debug)]
pub(super) struct Matched {
    pub(super) route: Arc<Route>,
    pub(super) parameters: Parameters,
}

#[derive(Clone, Debug)]
pub struct Route {
    /// What `Incoming.binding` says.
    pub binding: u32,
    pub auth: Auth,
    /// Body, bytes.
    pub max_body: usize,
    pub accept: Accept,
    pub passes: Passes,
    /// What a message may come by; POST when there is none here. With several, `Request-method` says which one it was.
    pub methods: Vec<Method>,
    /// The signature that a body has to have, beside what `auth` asks for.
    pub signature: Option<Arc<Signature>>,
    /// What is answered by the source itself, before a sender registers the path.
    pub handshakes: Vec<Handshake>,
}

impl Route {
    /// Takes POST, of anybody; no signature, no handshake, and no header that the pipeline names.
    #[must_use]
    pub fn open(binding: u32, max_body: usize) -> Route {
        Route {
            binding,
            auth: Auth::None,
            max_body,
            accept: Accept::ALL,
            passes: Passes::default(),
            methods: Vec::new(),
            signature: None,
            handshakes: Vec::new(),
        }
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        if self.methods.is_empty() { *method == Method::POST } else { self.methods.contains(method) }
    }

    /// What may be asked for here: `POST, GET`.
    pub(super) fn allow(&self) -> String {
        let mut allowed: Vec<&Method> = self.methods.iter().collect();
        if allowed.is_empty() {
            allowed.push(&Method::POST);
        }
        for method in self.handshakes.iter().map(Handshake::method) {
            if !allowed.contains(&method) {
                allowed.push(method);
            }
        }
        allowed.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What a 401 asks for.
    pub(super) fn challenge(&self) -> HeaderValue {
        match (&self.auth, &self.signature) {
            (Auth::None, Some(_)) => HeaderValue::from_static("Signature"),
            _ => self.auth.challenge(),
        }
    }
}

/// What goes on with a message beside the headers that always do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    pub headers: Vec<HeaderName>,
    /// Parameters of the query, each as the header `Query-NAME`.
    pub query: Vec<String>,
}

impl Routes {
    #[must_use]
    pub fn new() -> Routes {
        Routes::default()
    }

    /// `config/conflict` when the customer already has a route for these paths, `config/invalid-name` and
    /// `config/invalid-value` for a customer or a path that cannot be served.
    pub fn insert(&mut self, customer: &str, path: &str, route: Route) -> Result<(), Fault> {
        let address = address(customer, path)?;
        let route = Arc::new(route);
        let taken = || Err(Fault::new(Code::ConfigConflict, format!("two pipelines claim {address}")));
        let table = Arc::make_mut(&mut self.0);
        if !path::has_parameters(path) {
            return match table.fixed.entry(address.clone()) {
                Entry::Occupied(_) => taken(),
                Entry::Vacant(free) => {
                    free.insert(route);
                    Ok(())
                }
            };
        }
        let pattern = pattern(&address, route)?;
        let patterns = table.patterns.entry(customer.into()).or_default();
        match patterns.binary_search_by(|other| other.order(&pattern)) {
            Ok(_) => taken(),
            Err(place) => {
                patterns.insert(place, pattern);
                Ok(())
            }
        }
    }

    /// Puts a route in place of the one that is there, if one is: a revision in place of the one before it.
    ///
    /// # Errors
    /// `config/invalid-name` and `config/invalid-value` for a customer or a path that cannot be served.
    pub fn replace(&mut self, customer: &str, path: &str, route: Route) -> Result<(), Fault> {
        let address = address(customer, path)?;
        let route = Arc::new(route);
        let table = Arc::make_mut(&mut self.0);
        if !path::has_parameters(path) {
            table.fixed.insert(address, route);
            return Ok(());
        }
        let pattern = pattern(&address, route)?;
        let patterns = table.patterns.entry(customer.into()).or_default();
        match patterns.binary_search_by(|other| other.order(&pattern)) {
            Ok(place) => patterns[place] = pattern,
            Err(place) => patterns.insert(place, pattern),
        }
        Ok(())
    }

    /// Takes a route out, unless another binding has replaced it.
    pub fn remove(&mut self, customer: &str, path: &str, binding: u32) {
        let Ok(address) = address(customer, path) else { return };
        if !path::has_parameters(path) {
            if self.0.fixed.get(&address).is_some_and(|route| route.binding == binding) {
                Arc::make_mut(&mut self.0).fixed.remove(&address);
            }
            return;
        }
        let table = Arc::make_mut(&mut self.0);
        if let Some(patterns) = table.patterns.get_mut(customer) {
            patterns.retain(|pattern| pattern.route.binding != binding || !pattern.is_at(&address));
            if patterns.is_empty() {
                table.patterns.remove(customer);
            }
        }
    }

    /// Who takes what is posted to a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Arc<Route>> {
        self.find(path).map(|matched| matched.route)
    }

    pub(super) fn find(&self, path: &str) -> Option<Matched> {
        if let Some(route) = self.0.fixed.get(path) {
            return Some(Matched { route: Arc::clone(route), parameters: Parameters::new() });
        }
        if self.0.patterns.is_empty() {
            return None;
        }
        let patterns = self.0.patterns.get(path.split('/').nth(2)?)?;
        let parts: Vec<&str> = path.split('/').take(MAX_PARTS + 1).collect();
        patterns.iter().find_map(|pattern| {
            let parameters = pattern.fit(&parts)?;
            Some(Matched { route: Arc::clone(&pattern.route), parameters })
        })
    }
}

fn pattern(address: &str, route: Arc<Route>) -> Result<Pattern, Fault> {
    Pattern::new(address, route).map_err(|reason| unusable(address, reason))
}

fn unusable(path: &str, reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidValue, format!("the path {path:?} {reason}"))
}

/// `/in/<customer><path>`
fn address(customer: &str, path: &str) -> Result<Box<str>, Fault> {
    check_name(customer).map_err(|error| {
        Fault::new(Code::ConfigInvalidName, format!("the customer `{}` {}", customer.escape_debug(), error.0))
    })?;
    path::shape(path).map_err(|reason| unusable(path, reason))?;
    Ok(format!("/in/{customer}{path}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(binding: u32) -> Route {
        Route::open(binding, 10)
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
    fn a_fixed_path_comes_before_one_with_parameters() {
        let mut routes = Routes::new();
        for (binding, path) in
            [(1, "/{kind}/{id}"), (2, "/orders/{id}"), (3, "/orders/new"), (4, "/{kind}/new"), (5, "/orders/{id}/x")]
        {
            routes.insert("acme", path, route(binding)).unwrap();
        }
        let find = |path: &str| {
            let matched = routes.find(path)?;
            let parameters: Vec<_> = matched.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            Some((matched.route.binding, parameters.join("&")))
        };
        let found = |binding, parameters: &str| Some((binding, parameters.to_owned()));
        assert_eq!(find("/in/acme/orders/new"), found(3, ""));
        assert_eq!(find("/in/acme/orders/7"), found(2, "id=7"));
        assert_eq!(find("/in/acme/orders/7/x"), found(5, "id=7"));
        assert_eq!(find("/in/acme/items/new"), found(4, "kind=items"));
        assert_eq!(find("/in/acme/items/7%2F8"), found(1, "kind=items&id=7%2F8"));
        for none in ["/in/acme/orders", "/in/acme/orders/", "/in/acme/orders/7/", "/in/acme/orders/..", "/in/zeta/a/b"]
        {
            assert_eq!(find(none), None, "{none}");
        }
        assert_eq!(find(&"/".repeat(5_000)), None);
    }

    #[test]
    fn paths_that_differ_in_the_names_of_their_parameters_are_one() {
        let mut routes = Routes::new();
        routes.insert("acme", "/orders/{id}", route(1)).unwrap();
        assert_eq!(routes.insert("acme", "/orders/{no}", route(2)).unwrap_err().code(), Code::ConfigConflict);
        routes.insert("zeta", "/orders/{id}", route(3)).unwrap();
        routes.replace("acme", "/orders/{no}", route(4)).unwrap();
        routes.remove("acme", "/orders/{id}", 1);
        assert_eq!(routes.get("/in/acme/orders/7").map(|route| route.binding), Some(4));
        routes.remove("acme", "/orders/{no}", 4);
        assert!(routes.get("/in/acme/orders/7").is_none() && routes.get("/in/zeta/orders/7").is_some());
    }

    #[test]
    fn names_and_paths_that_cannot_be_served_are_refused() {
        let mut routes = Routes::new();
        assert_eq!(routes.insert("A", "/x", route(0)).unwrap_err().code(), Code::ConfigInvalidName);
        for bad in [
            "",
            "x",
            "/a b",
            "/a?b",
            "/a%20",
            "/../x",
            "/a/.",
            "/ä",
            "/a\r\n",
            "/{a}/..",
            "/{id",
            &format!("/{}", "x".repeat(512)),
        ] {
            assert_eq!(routes.insert("acme", bad, route(0)).unwrap_err().code(), Code::ConfigInvalidValue, "{bad}");
        }
    }
}
