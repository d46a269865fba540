//! What a server is started with.

use std::collections::BTreeMap;

use crate::subject::{has_wildcard, matches};

/// The server's configuration. Times are nanoseconds, sizes bytes.
#[derive(Clone, Debug)]
pub struct Options {
    pub server_name: String,
    pub version: String,
    /// Headers and payload of one message.
    pub max_payload: usize,
    /// A line of a client.
    pub max_control_line: usize,
    /// Output that a client may leave unread before the server closes its connection.
    pub max_pending: usize,
    /// Names and what they may do. Without any, everybody may do everything.
    pub users: BTreeMap<String, User>,
    /// Whom a client is taken for that gives no name.
    pub no_auth_user: Option<String>,
    /// Chooses members of queue groups, and the jitter of `inactive_threshold`.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server_name: "model".into(),
            version: "2.15.1".into(),
            max_payload: 1 << 20,
            max_control_line: 4096,
            max_pending: 64 << 20,
            users: BTreeMap::new(),
            no_auth_user: None,
            seed: 0,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub password: String,
    pub permissions: Permissions,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    pub publish: Subjects,
    pub subscribe: Subjects,
}

/// Patterns of subjects. `allow` is `None` where everything is allowed; `deny` overrules it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    pub allow: Option<Vec<String>>,
    pub deny: Vec<String>,
}

impl Subjects {
    #[must_use]
    pub fn permit(&self, subject: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(|pattern| matches(pattern, subject)))
            && !self.deny.iter().any(|pattern| matches(pattern, subject))
    }

    /// Whether a message may be delivered to a permitted subscription: a wildcard may reach denied subjects.
    #[must_use]
    pub fn permit_delivery(&self, subscription: &str, subject: &str) -> bool {
        !has_wildcard(subscription) || !self.deny.iter().any(|pattern| matches(pattern, subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_overrules_allow() {
        let subjects = Subjects { allow: Some(vec!["a.>".into()]), deny: vec!["a.b".into()] };
        assert!(subjects.permit("a.c") && !subjects.permit("a.b") && !subjects.permit("c"));
        assert!(subjects.permit("a.*") && !subjects.permit_delivery("a.*", "a.b"));
        assert!(Subjects::default().permit("anything"));
    }
}
