//! The messages of one stream: by sequence, by subject, and what limits take away.
//!
//! ```text
//! admit ─► push ─► over_limits, over_subject ─► remove
//!                  expired (by a timer) ────────▲
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::{Discard, StreamConfig};
use crate::subject::{has_wildcard, matches};

/// A message as the stream holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub sequence: u64,
    pub subject: String,
    pub headers: Arc<[u8]>,
    pub payload: Arc<[u8]>,
    pub time_ns: u64,
}

/// Bytes that a message takes in the server's files.
#[must_use]
pub fn stored_size(subject: &str, headers: &[u8], payload: &[u8]) -> u64 {
    let headers = if headers.is_empty() { 0 } else { headers.len() + 4 };
    (30 + subject.len() + headers + payload.len()) as u64
}

impl Stored {
    #[must_use]
    pub fn size(&self) -> u64 {
        stored_size(&self.subject, &self.headers, &self.payload)
    }
}

/// The server looks for expired messages no more often than this, nanoseconds.
const MIN_AGE_CHECK: u64 = 250_000_000;
const MAX_AGE_CHECK: u64 = 2_000_000_000;

#[derive(Debug, Default)]
pub struct Store {
    messages: BTreeMap<u64, Stored>,
    subjects: BTreeMap<String, BTreeSet<u64>>,
    pub bytes: u64,
    pub first: u64,
    pub last: u64,
    pub last_time_ns: u64,
    /// When expired messages are looked for next.
    pub age_check_at: Option<u64>,
}

impl Store {
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&Stored> {
        self.messages.get(&sequence)
    }

    #[must_use]
    pub fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    pub fn iter(&self) -> impl Iterator<Item = &Stored> {
        self.messages.values()
    }

    /// The first message from `sequence` on that one of `filters` matches; any where there are none.
    #[must_use]
    pub fn next(&self, filters: &[String], sequence: u64) -> Option<&Stored> {
        if let [filter] = filters
            && !has_wildcard(filter)
        {
            let found = self.subjects.get(filter)?.range(sequence..).next()?;
            return self.messages.get(found);
        }
        let mut from = self.messages.range(sequence..).map(|(_, message)| message);
        from.find(|message| is_wanted(filters, &message.subject))
    }

    #[must_use]
    pub fn last_of(&self, subject: &str) -> Option<&Stored> {
        let of = |(name, sequences): (&String, &BTreeSet<u64>)| {
            matches(subject, name).then(|| sequences.last().copied()).flatten()
        };
        let sequence = match has_wildcard(subject) {
            false => self.subjects.get(subject)?.last().copied(),
            true => self.subjects.iter().filter_map(of).max(),
        };
        self.messages.get(&sequence?)
    }

    /// How many messages from `sequence` on one of `filters` matches.
    #[must_use]
    pub fn count(&self, filters: &[String], sequence: u64) -> u64 {
        let wanted = self.subjects.iter().filter(|(subject, _)| is_wanted(filters, subject));
        wanted.map(|(_, sequences)| sequences.range(sequence..).count() as u64).sum()
    }

    /// Messages by subject.
    #[must_use]
    pub fn totals(&self, filter: &str) -> BTreeMap<String, u64> {
        let wanted = self.subjects.iter().filter(|(subject, _)| matches(filter, subject));
        wanted.map(|(subject, sequences)| (subject.clone(), sequences.len() as u64)).collect()
    }

    #[must_use]
    pub fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    fn count_of(&self, subject: &str) -> i64 {
        self.subjects.get(subject).map_or(0, |sequences| sequences.len() as i64)
    }

    /// Whether a stream that discards new messages takes this one.
    ///
    /// # Errors
    /// The server's text.
    pub fn admit(&self, config: &StreamConfig, subject: &str, size: u64) -> Result<(), &'static str> {
        if config.discard == Discard::Old {
            return Ok(());
        }
        let replaces = config.max_msgs_per_subject > 0 && self.count_of(subject) >= config.max_msgs_per_subject;
        if replaces && config.discard_new_per_subject {
            return Err("maximum messages per subject exceeded");
        }
        if config.max_msgs > 0 && self.len() as i64 >= config.max_msgs && !replaces {
            return Err("maximum messages exceeded");
        }
        if config.max_bytes > 0 && (self.bytes + size) as i64 > config.max_bytes {
            let oldest = self.subjects.get(subject).and_then(|sequences| sequences.first());
            let freed = oldest.and_then(|sequence| self.get(*sequence)).map_or(0, Stored::size);
            if !replaces || freed < size {
                return Err("maximum bytes exceeded");
            }
        }
        Ok(())
    }

    /// Stores a message and gives its sequence.
    pub fn push(&mut self, subject: &str, headers: &[u8], payload: &[u8], now: u64) -> u64 {
        let sequence = self.last + 1;
        if self.messages.is_empty() {
            self.first = sequence;
        }
        self.last = sequence;
        self.last_time_ns = now;
        self.bytes += stored_size(subject, headers, payload);
        self.subjects.entry(subject.to_owned()).or_default().insert(sequence);
        let (headers, payload) = (headers.into(), payload.into());
        self.messages.insert(sequence, Stored { sequence, subject: subject.into(), headers, payload, time_ns: now });
        sequence
    }

    pub fn remove(&mut self, sequence: u64) -> Option<Stored> {
        let message = self.messages.remove(&sequence)?;
        self.bytes -= message.size();
        if let Some(sequences) = self.subjects.get_mut(&message.subject) {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.subjects.remove(&message.subject);
            }
        }
        self.first = self.messages.keys().next().copied().unwrap_or(self.last + 1);
        Some(message)
    }

    /// The oldest message of a subject that holds too many.
    #[must_use]
    pub fn over_subject(&self, config: &StreamConfig, subject: &str) -> Option<u64> {
        let is_over = config.max_msgs_per_subject > 0 && self.count_of(subject) > config.max_msgs_per_subject;
        is_over.then(|| self.subjects.get(subject)?.first().copied()).flatten()
    }

    /// Some subject that holds too many, after the limit was lowered.
    #[must_use]
    pub fn any_over_subject(&self, config: &StreamConfig) -> Option<u64> {
        self.subjects.keys().find_map(|subject| self.over_subject(config, subject))
    }

    /// The oldest message of a stream that holds too many, or too much.
    #[must_use]
    pub fn over_limits(&self, config: &StreamConfig) -> Option<u64> {
        if config.discard == Discard::New {
            return None;
        }
        let too_many = config.max_msgs > 0 && self.len() as i64 > config.max_msgs;
        let too_much = config.max_bytes > 0 && self.bytes as i64 > config.max_bytes;
        (too_many || too_much).then(|| self.messages.keys().next().copied()).flatten()
    }

    /// Empties the store. `next`: the first sequence from now on, when it lies ahead.
    pub fn clear(&mut self, next: u64) -> u64 {
        let count = self.len();
        self.messages.clear();
        self.subjects.clear();
        self.bytes = 0;
        self.last = self.last.max(next.saturating_sub(1));
        self.first = self.last + 1;
        count
    }

    /// Starts the timer of `max_age`, unless it runs.
    pub fn start_age_check(&mut self, max_age: i64, now: u64) {
        if max_age > 0 {
            self.age_check_at.get_or_insert(now + max_age as u64);
        }
    }

    /// The oldest message, when its time is over.
    #[must_use]
    pub fn expired(&self, max_age: i64, now: u64) -> Option<u64> {
        let (sequence, message) = self.messages.first_key_value()?;
        (message.time_ns + max_age as u64 <= now).then_some(*sequence)
    }

    /// After a look for expired messages: when the next one is.
    pub fn plan_age_check(&mut self, max_age: i64, now: u64) {
        let next = |message: &Stored| {
            let until = (message.time_ns + max_age as u64).saturating_sub(now);
            let until = if until == 0 { MAX_AGE_CHECK.min(max_age as u64) } else { until };
            now + until.max(MIN_AGE_CHECK)
        };
        self.age_check_at = self.messages.first_key_value().map(|(_, message)| next(message));
    }
}

/// Whether one of `filters` matches; no filter is all.
#[must_use]
pub fn is_wanted(filters: &[String], subject: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| matches(filter, subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> StreamConfig {
        StreamConfig::parse(json.as_bytes()).and_then(StreamConfig::completed).unwrap()
    }

    #[test]
    fn the_first_sequence_follows_what_is_removed() {
        let mut store = Store::default();
        assert_eq!((store.first, store.last), (0, 0));
        for subject in ["a", "b", "a"] {
            store.push(subject, b"", b"x", 1);
        }
        assert_eq!((store.first, store.last, store.bytes), (1, 3, 96));
        store.remove(2);
        assert_eq!(store.first, 1);
        store.remove(1);
        assert_eq!(store.first, 3);
        store.remove(3);
        assert_eq!((store.first, store.last, store.bytes), (4, 3, 0));
        store.clear(10);
        assert_eq!((store.first, store.last), (10, 9));
    }

    #[test]
    fn messages_are_found_by_subject() {
        let mut store = Store::default();
        for subject in ["a.1", "b", "a.2", "a.1"] {
            store.push(subject, b"", b"", 1);
        }
        let next = |filters: &[&str], from| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            store.next(&filters, from).map(|message| message.sequence)
        };
        assert_eq!(
            (next(&[], 2), next(&["a.1"], 2), next(&["b", "a.2"], 3), next(&["b"], 3)),
            (Some(2), Some(4), Some(3), None)
        );
        assert_eq!(store.last_of("a.*").unwrap().sequence, 4);
        assert_eq!((store.count(&["a.*".into()], 2), store.count(&[], 1)), (2, 4));
        assert_eq!(store.totals("a.*").into_iter().collect::<Vec<_>>(), [("a.1".into(), 2), ("a.2".into(), 1)]);
    }

    #[test]
    fn a_full_store_discards_what_it_is_told_to() {
        let capped = config(r#"{"name": "S", "discard": "new", "max_msgs": 1, "max_msgs_per_subject": 1}"#);
        let mut store = Store::default();
        store.push("S", b"", b"", 1);
        assert_eq!(store.admit(&capped, "S", 31), Ok(()), "it replaces the one that is there");
        assert_eq!(store.admit(&capped, "T", 31), Err("maximum messages exceeded"));
        store.push("S", b"", b"", 1);
        assert_eq!((store.over_subject(&capped, "S"), store.over_limits(&capped)), (Some(1), None));
        let small = config(r#"{"name": "S", "discard": "new", "max_bytes": 70}"#);
        assert_eq!(store.admit(&small, "S", 31), Err("maximum bytes exceeded"));
    }
}
