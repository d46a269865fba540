//! The `Nats-Msg-Id`s that a stream remembers.
//!
//! The server forgets ids by a timer, which does not fire within 50 ms of its last time: an id may be remembered a
//! little longer than `duplicate_window`.

use std::collections::{BTreeMap, VecDeque};

use super::store::Store;
use crate::header;

const MIN_PAUSE: u64 = 50_000_000;

#[derive(Debug, Default)]
pub struct Dedupe {
    sequences: BTreeMap<String, u64>,
    /// The same ids with their times, oldest first.
    order: VecDeque<(String, u64)>,
    /// When the oldest are forgotten.
    pub check_at: Option<u64>,
}

impl Dedupe {
    #[must_use]
    pub fn get(&self, id: &str) -> Option<u64> {
        self.sequences.get(id).copied()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    pub fn insert(&mut self, id: &str, sequence: u64, time: u64, window: i64, now: u64) {
        self.sequences.insert(id.to_owned(), sequence);
        self.order.push_back((id.to_owned(), time));
        self.check_at.get_or_insert(now + window as u64);
    }

    /// The timer: forgets ids, and sets itself for the next.
    pub fn check(&mut self, window: i64, now: u64) {
        let window = window as u64;
        let mut pause = window;
        while let Some((id, time)) = self.order.front() {
            let age = now.saturating_sub(*time);
            if age < window {
                pause = window - age;
                break;
            }
            self.sequences.remove(id);
            self.order.pop_front();
        }
        self.check_at = (!self.sequences.is_empty()).then(|| now + pause.max(MIN_PAUSE));
    }

    /// The window has changed: the timer fires at once.
    pub fn check_soon(&mut self, now: u64) {
        if let Some(at) = &mut self.check_at {
            *at = now;
        }
    }

    /// After a restart: the ids of messages that are still in the stream. Those of consumed messages are forgotten.
    #[must_use]
    pub fn rebuilt(store: &Store, window: i64, now: u64) -> Dedupe {
        let mut dedupe = Dedupe::default();
        let recent = |time: u64| time + window as u64 >= now;
        for message in store.iter().filter(|message| recent(message.time_ns)) {
            if let Some(id) = header::value(&message.headers, "Nats-Msg-Id").filter(|id| !id.is_empty()) {
                dedupe.insert(id, message.sequence, message.time_ns, window, now);
            }
        }
        dedupe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: i64 = 200_000_000;
    const MS: u64 = 1_000_000;

    #[test]
    fn an_id_is_forgotten_by_the_timer() {
        let mut dedupe = Dedupe::default();
        dedupe.insert("a", 1, 0, WINDOW, 0);
        dedupe.insert("b", 2, 10 * MS, WINDOW, 10 * MS);
        assert_eq!(dedupe.check_at, Some(200 * MS));
        dedupe.check(WINDOW, 200 * MS);
        assert_eq!((dedupe.get("a"), dedupe.get("b")), (None, Some(2)));
        assert_eq!(dedupe.check_at, Some(250 * MS), "not before 50 ms");
        dedupe.check(WINDOW, 250 * MS);
        assert_eq!((dedupe.len(), dedupe.check_at), (0, None));
    }

    #[test]
    fn a_restart_forgets_the_ids_of_consumed_messages() {
        let mut store = Store::default();
        for id in ["a", "b"] {
            store.push("s", format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n").as_bytes(), b"", 5);
        }
        store.remove(1);
        let dedupe = Dedupe::rebuilt(&store, WINDOW, 10);
        assert_eq!((dedupe.get("a"), dedupe.get("b")), (None, Some(2)));
        assert_eq!(Dedupe::rebuilt(&store, 1, 10).len(), 0);
    }
}
