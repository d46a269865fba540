//! What an entry's PubAcks mean beside the ack of its input: told when the entry closes.
//!
//! A PubAck does not say which output it is for, and need not: an input whose outputs are not all
//! stored comes again as a whole. So what was published counts when all of it is stored, and not at
//! all in a round that failed.

use std::rc::Rc;

use super::core::{Core, Envelope};
use super::events::{Event, EventKind};
use super::install::Installed;
use super::ledger::Receipt;
use super::metrics::Metric;
use super::queue::OutQueue;

/// What is told when an entry closes.
#[derive(Default)]
pub enum Tally {
    #[default]
    Nothing,
    /// Outputs to streams of the user's, which are delivered with their PubAcks.
    Deliveries { installed: Rc<Installed>, messages: u32, bytes: u64 },
    /// A message on its way to the parked ones of its out.
    Parked(Rc<OutQueue>),
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tally::Nothing => f.write_str("Nothing"),
            Tally::Parked(queue) => write!(f, "Parked({})", queue.name),
            Tally::Deliveries { messages, bytes, .. } => write!(f, "Deliveries({messages}, {bytes} bytes)"),
        }
    }
}

impl Tally {
    /// One more delivery. All outputs of an input belong to one pipeline.
    pub fn add_delivery(&mut self, of: &Rc<Installed>, size: usize) {
        match self {
            Tally::Deliveries { messages, bytes, .. } => {
                *messages += 1;
                *bytes += size as u64;
            }
            _ => *self = Tally::Deliveries { installed: Rc::clone(of), messages: 1, bytes: size as u64 },
        }
    }
}

/// Events of deliveries that wait for their PubAcks: as few as anybody will read, so that under
/// load nothing is kept.
#[derive(Default)]
pub struct Announced(Vec<(Receipt, Event)>);

const MOST_ANNOUNCED: usize = 256;

impl Core {
    /// An output was published to a stream of the user's; it counts when its input's entry closes.
    pub(super) fn count_at_pub_ack(&mut self, receipt: Receipt, envelope: &Envelope<'_>, name: &str, bytes: usize) {
        self.publisher.ledger.add_delivery(receipt, envelope.installed, bytes);
        if self.announced.0.len() < MOST_ANNOUNCED && self.events.has_room() {
            let event = Event::about(EventKind::Delivered, self.now_ms, envelope.installed, envelope.root);
            self.announced.0.push((receipt, event.at(name, bytes)));
        }
    }

    /// An entry was closed; `stored` when every output of it was.
    pub(super) fn tell(&mut self, receipt: Receipt, tally: Tally, stored: bool) {
        match tally {
            Tally::Nothing => {}
            Tally::Parked(queue) => {
                if stored {
                    queue.installed.counters.add(Metric::Parked, 1);
                }
                queue.parking.confirmed();
            }
            Tally::Deliveries { installed, messages, bytes } => {
                if stored {
                    installed.crowd.took();
                    installed.counters.add(Metric::Delivered, u64::from(messages));
                    installed.counters.add(Metric::DeliveredBytes, bytes);
                }
                self.announce(receipt, stored);
            }
        }
    }

    fn announce(&mut self, receipt: Receipt, stored: bool) {
        if self.announced.0.is_empty() {
            return;
        }
        let now_ms = self.now_ms;
        for (_, event) in self.announced.0.extract_if(.., |(of, _)| *of == receipt) {
            if stored {
                self.events.push(|| Event { time_ms: now_ms, ..event });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use message::{Code, Fault};

    use super::*;
    use crate::engine::install::installed;
    use crate::engine::ledger::{Ledger, Origin, Outcome};

    fn deliveries(tally: &Tally) -> (u32, u64) {
        match tally {
            Tally::Deliveries { messages, bytes, .. } => (*messages, *bytes),
            Tally::Nothing | Tally::Parked(_) => (0, 0),
        }
    }

    #[test]
    fn deliveries_are_told_once_with_the_last_output_of_their_input() {
        let of = installed("{\"nats\": {\"subject\": \"out\", \"mode\": \"jetstream\"}}");
        let mut ledger = Ledger::default();
        let receipt = ledger.open(Origin::JetStream, b"", 0);
        for size in [10, 20] {
            ledger.expect_pub_ack(receipt, 0);
            ledger.add_delivery(receipt, &of, size);
        }
        // A dead letter's PubAck, which is no delivery.
        ledger.expect_pub_ack(receipt, 0);
        assert!(ledger.settle(receipt, Outcome::Ok).is_none());
        assert!(ledger.settle(receipt, Outcome::Ok).is_none());
        let closed = ledger.settle(receipt, Outcome::Ok).unwrap();
        assert_eq!(deliveries(&closed.tally), (2, 30));
        // The next input in the same place of the ledger has nothing of it.
        let next = ledger.open(Origin::JetStream, b"", 0);
        let fault = Fault::new(Code::NatsTimeout, "late");
        let closed = ledger.abandon(next, Outcome::Retry(Duration::ZERO, fault)).unwrap();
        assert_eq!(deliveries(&closed.tally), (0, 0));
    }
}
