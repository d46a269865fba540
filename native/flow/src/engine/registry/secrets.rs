//! The values of a pipeline's secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use message::{Code, Fault};

/// The values of a pipeline's secrets, by name. Never shown.
#[derive(Clone, Default)]
pub struct Secrets(Arc<BTreeMap<String, String>>);

impl Secrets {
    #[must_use]
    pub fn new(values: BTreeMap<String, String>) -> Secrets {
        Secrets(Arc::new(values))
    }
}

impl connectors::kind::Secrets for Secrets {
    fn get(&self, name: &str) -> Result<&str, Fault> {
        let found = self.0.get(name).map(String::as_str);
        found.ok_or_else(|| Fault::new(Code::SecretNotFound, format!("the secret `{name}` is not defined")))
    }
}
