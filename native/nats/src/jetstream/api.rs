//! Where JetStream's API listens.

use std::fmt;
use std::sync::Arc;

use message::{Code, Fault};

/// The subjects of JetStream's API. They begin with `$JS.API`; those of a domain that is not the server's own with
/// `$JS.<domain>.API`, those of an API that another account exports with what the import says.
#[derive(Clone, PartialEq, Eq)]
pub struct Api(Arc<str>);

impl Default for Api {
    fn default() -> Self {
        Api("$JS.API".into())
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Api {
    /// # Errors
    /// `config/invalid-value` for what is not one token of a subject.
    pub fn of_domain(domain: &str) -> Result<Api, Fault> {
        if domain.contains('.') || !are_tokens(domain) {
            return Err(refused(format!("{domain:?} is no JetStream domain: it is one token of a subject")));
        }
        Ok(Api(format!("$JS.{domain}.API").into()))
    }

    /// # Errors
    /// `config/invalid-value` for what is no subject, or has wildcards.
    pub fn with_prefix(prefix: &str) -> Result<Api, Fault> {
        if !are_tokens(prefix) {
            return Err(refused(format!(
                "{prefix:?} is no prefix of JetStream's API: it is a subject without wildcards"
            )));
        }
        Ok(Api(prefix.into()))
    }

    /// `verb`: such as `STREAM.INFO.ORDERS`.
    #[must_use]
    pub fn subject(&self, verb: &str) -> String {
        format!("{}.{verb}", self.0)
    }

    /// Where requests to a pull consumer are published.
    #[must_use]
    pub fn next_subject(&self, stream: &str, consumer: &str) -> String {
        format!("{}.CONSUMER.MSG.NEXT.{stream}.{consumer}", self.0)
    }

    /// Whether it is a subject of this API.
    #[must_use]
    pub fn has(&self, subject: &str) -> bool {
        subject.strip_prefix(&*self.0).is_some_and(|rest| rest.starts_with('.'))
    }
}

fn are_tokens(text: &str) -> bool {
    text.split('.').all(|token| {
        !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
    })
}

fn refused(reason: String) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_an_api() {
        assert_eq!(Api::default().subject("INFO"), "$JS.API.INFO");
        assert_eq!(Api::of_domain("hub").unwrap().subject("STREAM.INFO.S"), "$JS.hub.API.STREAM.INFO.S");
        let api = Api::with_prefix("from.hub").unwrap();
        assert_eq!(api.next_subject("S", "C"), "from.hub.CONSUMER.MSG.NEXT.S.C");
        assert!(api.has("from.hub.INFO") && !api.has("from.hubs.INFO") && !api.has("from.hub"));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for bad in ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\r\nPUB x 0"] {
            assert_eq!(Api::with_prefix(bad).unwrap_err().code(), Code::ConfigInvalidValue, "{bad:?}");
            assert!(Api::of_domain(bad).is_err(), "{bad:?}");
        }
        assert!(Api::of_domain("a.b").is_err());
    }
}
