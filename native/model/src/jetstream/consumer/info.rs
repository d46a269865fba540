//! What `CONSUMER.INFO` says.

use serde_json::{Map, Value, json};

use super::super::Context;
use super::{Consumer, Pending, Position};
use crate::jetstream::store::Store;
use crate::json::time;

/// A consumer as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerState {
    pub delivered: Position,
    pub ack_floor: Position,
    /// By stream sequence.
    pub pending: Vec<(u64, Pending)>,
    /// Deliveries after the first, by stream sequence.
    pub redelivered: Vec<(u64, u64)>,
    pub num_pending: u64,
    pub num_waiting: usize,
}

impl Consumer {
    #[must_use]
    pub fn state(&self) -> ConsumerState {
        ConsumerState {
            delivered: self.saved.delivered,
            ack_floor: self.saved.floor,
            pending: self.pending.iter().map(|(sequence, pending)| (*sequence, *pending)).collect(),
            redelivered: self.redelivered.iter().map(|(sequence, count)| (*sequence, *count)).collect(),
            num_pending: self.shown_unseen(),
            num_waiting: self.pulls.waiting.len(),
        }
    }

    /// The fields of an answer; `version`: of the server.
    pub fn info(&mut self, store: &Store, version: Option<&str>, context: &mut Context<'_>) -> Map<String, Value> {
        self.correct_unseen(store);
        self.check_pulls(false, context);
        let redelivered = if self.config.max_deliver == 1 { 0 } else { self.redelivered.len() };
        let mut info = Map::new();
        for (name, value) in [
            ("stream_name", json!(self.stream)),
            ("name", json!(self.name)),
            ("created", json!(time(self.created_ns))),
            ("config", self.config.to_json(version)),
            ("delivered", position(self.saved.delivered, self.last_delivered_ns)),
            ("ack_floor", position(self.saved.floor, self.last_acked_ns)),
            ("num_ack_pending", json!(self.pending.len())),
            ("num_redelivered", json!(redelivered)),
            ("num_waiting", json!(self.pulls.waiting.len())),
            ("num_pending", json!(self.shown_unseen())),
            ("ts", json!(time(context.now))),
        ] {
            info.insert(name.into(), value);
        }
        info
    }

    /// The answer to a request that has made, found or changed it. The server takes a snapshot of a consumer that it
    /// recovers, and gives that out once, however old it is.
    pub fn answer(&mut self, store: &Store, context: &mut Context<'_>) -> Map<String, Value> {
        self.recovered.take().unwrap_or_else(|| self.info(store, Some(context.version), context))
    }

    /// Never more than the stream can hold.
    fn correct_unseen(&mut self, store: &Store) {
        if self.next_sequence > store.last {
            self.unseen = 0;
        } else if self.unseen > 0 {
            let ahead = (store.last - self.next_sequence + 1) as i64;
            self.unseen = self.unseen.min(store.len() as i64).min(ahead);
        }
    }
}

fn position(position: Position, last_active: Option<u64>) -> Value {
    let mut value = json!({"consumer_seq": position.consumer, "stream_seq": position.stream});
    if let Some(at) = last_active {
        value["last_active"] = json!(time(at));
    }
    value
}
