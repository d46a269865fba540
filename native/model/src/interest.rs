//! Who listens on which subject: the subscriptions of all connections.

use std::collections::{BTreeMap, BTreeSet};

use crate::options::Subjects;
use crate::server::ConnectionId;
use crate::subject::{has_wildcard, matches};

/// A subscription: its connection and the id that the client gave it.
pub type Key = (ConnectionId, String);

#[derive(Clone, Debug)]
pub struct Subscription {
    pub subject: String,
    pub queue: Option<String>,
    /// Messages in all, after which it ends.
    pub max: Option<u64>,
    pub delivered: u64,
}

/// All subscriptions, found by subject.
#[derive(Debug, Default)]
pub struct Interest {
    subscriptions: BTreeMap<Key, Subscription>,
    /// Subjects without wildcards.
    literal: BTreeMap<String, BTreeSet<Key>>,
    /// The others.
    patterns: BTreeMap<String, BTreeSet<Key>>,
}

/// Who is to get a message: every plain subscription, and one member of each group.
#[derive(Debug, Default)]
pub struct Receivers {
    pub plain: Vec<Key>,
    pub groups: BTreeMap<(String, String), Vec<Key>>,
}

impl Interest {
    /// `false` when the client has a subscription of this id: that one stays.
    pub fn add(&mut self, key: Key, subject: &str, queue: Option<&str>) -> bool {
        if self.subscriptions.contains_key(&key) {
            return false;
        }
        self.index(subject).entry(subject.to_owned()).or_default().insert(key.clone());
        let (subject, queue) = (subject.to_owned(), queue.map(str::to_owned));
        self.subscriptions.insert(key, Subscription { subject, queue, max: None, delivered: 0 });
        true
    }

    fn index(&mut self, subject: &str) -> &mut BTreeMap<String, BTreeSet<Key>> {
        if has_wildcard(subject) { &mut self.patterns } else { &mut self.literal }
    }

    pub fn remove(&mut self, key: &Key) {
        let Some(subscription) = self.subscriptions.remove(key) else { return };
        let index = self.index(&subscription.subject);
        if let Some(keys) = index.get_mut(&subscription.subject) {
            keys.remove(key);
            if keys.is_empty() {
                index.remove(&subscription.subject);
            }
        }
    }

    pub fn remove_connection(&mut self, id: ConnectionId) {
        for key in self.of_connection(id) {
            self.remove(&key);
        }
    }

    fn of_connection(&self, id: ConnectionId) -> Vec<Key> {
        let first = (id, String::new());
        self.subscriptions.range(first..).map(|(key, _)| key.clone()).take_while(|key| key.0 == id).collect()
    }

    /// Ends a subscription once it has brought `max` messages; at once without a `max`.
    pub fn unsubscribe(&mut self, key: &Key, max: Option<u64>) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        match max.filter(|max| *max > subscription.delivered) {
            Some(max) => subscription.max = Some(max),
            None => self.remove(key),
        }
    }

    /// A message was delivered. Ends a subscription that has brought all of its messages.
    pub fn count(&mut self, key: &Key) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        subscription.delivered += 1;
        if subscription.max.is_some_and(|max| subscription.delivered >= max) {
            self.remove(key);
        }
    }

    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Subscription> {
        self.subscriptions.get(key)
    }

    fn listening<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a Key> {
        let patterns = self.patterns.iter().filter(move |(pattern, _)| matches(pattern, subject));
        self.literal.get(subject).into_iter().flatten().chain(patterns.flat_map(|(_, keys)| keys))
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn has(&self, subject: &str) -> bool {
        self.listening(subject).next().is_some()
    }

    #[must_use]
    pub fn receivers(&self, subject: &str) -> Receivers {
        let mut receivers = Receivers::default();
        for key in self.listening(subject) {
            let Some(subscription) = self.subscriptions.get(key) else { continue };
            match &subscription.queue {
                None => receivers.plain.push(key.clone()),
                Some(queue) => {
                    let group = (subscription.subject.clone(), queue.clone());
                    receivers.groups.entry(group).or_default().push(key.clone());
                }
            }
        }
        receivers
    }

    /// A plain subscription of a connection that hears `subject`.
    #[must_use]
    pub fn own(&self, id: ConnectionId, subject: &str) -> Option<Key> {
        let plain = |key: &&Key| self.subscriptions.get(*key).is_some_and(|one| one.queue.is_none());
        self.listening(subject).filter(|key| key.0 == id).find(plain).cloned()
    }

    /// Subscriptions that a connection may not have any more.
    #[must_use]
    pub fn forbidden(&self, id: ConnectionId, permitted: &Subjects) -> Vec<Key> {
        let is_forbidden = |key: &Key| !self.subscriptions.get(key).is_some_and(|one| permitted.permit(&one.subject));
        self.of_connection(id).into_iter().filter(is_forbidden).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u64, sid: &str) -> Key {
        (ConnectionId(id), sid.to_owned())
    }

    #[test]
    fn groups_share_and_plain_subscriptions_do_not() {
        let mut interest = Interest::default();
        assert!(interest.add(key(1, "1"), "a.*", None) && interest.add(key(1, "2"), "a.b", Some("q")));
        assert!(interest.add(key(2, "1"), "a.b", Some("q")) && !interest.add(key(2, "1"), "c", None));
        let receivers = interest.receivers("a.b");
        assert_eq!((receivers.plain.len(), receivers.groups.len()), (1, 1));
        assert_eq!(receivers.groups.values().next().unwrap().len(), 2);
        assert_eq!(interest.own(ConnectionId(1), "a.b"), Some(key(1, "1")));
        interest.remove_connection(ConnectionId(1));
        assert_eq!(interest.own(ConnectionId(1), "a.b"), None);
        assert!(interest.has("a.b") && !interest.has("a.c"));
    }

    #[test]
    fn a_subscription_ends_after_its_messages() {
        let mut interest = Interest::default();
        interest.add(key(1, "1"), "a", None);
        interest.unsubscribe(&key(1, "1"), Some(2));
        interest.count(&key(1, "1"));
        assert!(interest.has("a"));
        interest.count(&key(1, "1"));
        assert!(!interest.has("a"));
        interest.add(key(1, "1"), "a", None);
        interest.count(&key(1, "1"));
        interest.unsubscribe(&key(1, "1"), Some(1));
        assert!(!interest.has("a"));
    }
}
