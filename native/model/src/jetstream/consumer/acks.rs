//! What is published to a delivery's reply subject: ack, NAK, work in progress, term.

use serde::Deserialize;

use super::{Consumer, Position};

/// What the reply subject `$JS.ACK.<stream>.<consumer>.…` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub count: u64,
    pub sequence: u64,
    pub delivery: u64,
}

/// The stream, the consumer and the delivery of an ack's subject.
#[must_use]
pub fn parse_subject(subject: &str) -> Option<(&str, &str, Delivery)> {
    let mut tokens = subject.strip_prefix("$JS.ACK.")?.split('.');
    let (stream, consumer) = (tokens.next()?, tokens.next()?);
    let mut number = || tokens.next().map(|token| token.parse().unwrap_or(0));
    let (count, sequence, delivery) = (number()?, number()?, number()?);
    let (_time, _pending) = (number()?, number()?);
    tokens.next().is_none().then_some((stream, consumer, Delivery { count, sequence, delivery }))
}

/// What an ack leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acked {
    /// The delivery is settled; a work queue removes the message.
    Settled,
    /// Taken note of.
    Noted,
    /// Nothing; nobody who waits for an answer gets one.
    Ignored,
}

#[derive(Deserialize)]
struct NakOptions {
    delay: i64,
}

impl Consumer {
    pub fn on_ack(&mut self, delivery: Delivery, payload: &[u8], now: u64) -> Acked {
        self.written.catch_up(&self.saved, now);
        if self.inactive_after > 0 {
            self.pulls.last_ns = now;
            self.inactive_at = Some(now + self.inactive_after);
        }
        match payload {
            b"" | b"+ACK" | b"+OK" => self.on_settled(delivery, now),
            _ if payload.starts_with(b"+TERM") => self.on_settled(delivery, now),
            _ if payload.starts_with(b"-NAK") => {
                self.on_nak(delivery, payload[4..].trim_ascii(), now);
                Acked::Noted
            }
            b"+WPI" => {
                self.on_progress(delivery.sequence, now);
                Acked::Noted
            }
            _ => Acked::Noted,
        }
    }

    fn on_settled(&mut self, delivery: Delivery, now: u64) -> Acked {
        match self.settle(delivery.sequence, delivery.delivery, now) {
            true => Acked::Settled,
            false => Acked::Ignored,
        }
    }

    /// Nothing more is expected of a message. `false` when it has not been delivered yet.
    pub(super) fn settle(&mut self, sequence: u64, delivery: u64, now: u64) -> bool {
        if sequence >= self.next_sequence {
            return false;
        }
        let was_full = self.config.max_ack_pending > 0 && self.pending.len() as i64 >= self.config.max_ack_pending;
        let mut delivery = delivery;
        if let Some(pending) = self.pending.remove(&sequence) {
            self.signalled |= was_full;
            delivery = pending.delivery;
            self.raise_floor(delivery, sequence);
        }
        self.redelivered.remove(&sequence);
        self.unqueue(sequence);
        self.saved.on_acked(delivery, sequence);
        self.last_acked_ns = Some(now);
        true
    }

    pub(super) fn raise_floor(&mut self, delivery: u64, sequence: u64) {
        if self.pending.is_empty() {
            self.floor = Position { consumer: self.next_delivery - 1, stream: self.next_sequence - 1 };
        } else if delivery == self.floor.consumer + 1 {
            self.floor = Position { consumer: delivery, stream: sequence };
            let later = self.pending.range(sequence + 1..).next();
            if let Some((next, pending)) = later.filter(|(_, pending)| pending.delivery > 0) {
                self.floor = Position { consumer: pending.delivery - 1, stream: next - 1 };
            }
        }
    }

    fn on_nak(&mut self, delivery: Delivery, options: &[u8], now: u64) {
        let is_known = delivery.delivery > self.floor.consumer && delivery.delivery <= self.next_delivery;
        if !is_known || !self.pending.contains_key(&delivery.sequence) {
            return;
        }
        match serde_json::from_slice::<NakOptions>(options) {
            Ok(options) => self.delay(delivery, options.delay, now),
            Err(_) => {
                if !self.queued.contains(&delivery.sequence) {
                    self.enqueue(delivery.sequence);
                }
                self.signalled = true;
            }
        }
    }

    /// Has `ack_wait` end after `delay`.
    fn delay(&mut self, delivery: Delivery, delay: i64, now: u64) {
        let time_ns = now.saturating_sub(self.ack_wait()).saturating_add_signed(delay);
        self.unqueue(delivery.sequence);
        if let Some(pending) = self.pending.get_mut(&delivery.sequence) {
            pending.time_ns = time_ns;
            let first = pending.delivery;
            let (sequence, count) = (delivery.sequence, delivery.count);
            self.saved.on_delivered(first, sequence, count, time_ns, self.config.max_deliver);
            self.last_delivered_ns = Some(now);
        }
        if let Some(at) = &mut self.check_at {
            *at = now + 10_000_000;
        }
    }

    fn on_progress(&mut self, sequence: u64, now: u64) {
        if let Some(pending) = self.pending.get_mut(&sequence) {
            pending.time_ns = now;
            let first = pending.delivery;
            self.saved.on_delivered(first, sequence, 1, now, self.config.max_deliver);
            self.last_delivered_ns = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_names_the_delivery() {
        let delivery = Delivery { count: 2, sequence: 42, delivery: 7 };
        assert_eq!(parse_subject("$JS.ACK.S.c.2.42.7.17.3"), Some(("S", "c", delivery)));
        assert_eq!(parse_subject("$JS.ACK.S.c.2.42.7.17"), None);
        assert_eq!(parse_subject("$JS.ACK.S.c.2.42.7.17.3.4"), None);
        assert_eq!(parse_subject("$JS.ACK"), None);
    }
}
