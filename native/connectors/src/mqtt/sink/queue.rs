//! Requests on their way: first those that wait for the connection, then those that wait for the broker.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};

use message::{Code, Fault};
use tokio::sync::{Notify, oneshot};

use super::again;
use super::request::Request;
use crate::contract::Outcome;
use crate::mqtt::packet::Answer;
use crate::mqtt::reason;

pub(super) struct Queue {
    waiting: RefCell<VecDeque<(Request, oneshot::Sender<Outcome>)>>,
    state: Cell<State>,
    /// For the connection's task.
    pub(super) moved: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Open,
    /// The connection is to end, whatever waits.
    Broken,
    /// It is to end when nothing waits any more.
    Closing,
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue { waiting: RefCell::default(), state: Cell::new(State::Closed), moved: Notify::new() }
    }

    pub(super) fn state(&self) -> State {
        self.state.get()
    }

    pub(super) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    pub(super) fn open(&self) {
        self.state.set(State::Open);
    }

    pub(super) fn break_off(&self) {
        if self.is_open() {
            self.state.set(State::Broken);
            self.moved.notify_one();
        }
    }

    pub(super) fn close(&self) {
        if self.is_open() {
            self.state.set(State::Closing);
            self.moved.notify_one();
        }
    }

    pub(super) async fn publish(&self, request: Request) -> Outcome {
        if !self.is_open() {
            return again(lost());
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push_back((request, sender));
        self.moved.notify_one();
        receiver.await.unwrap_or_else(|_| again(lost()))
    }

    /// The next that somebody waits for.
    pub(super) fn next(&self) -> Option<(Request, oneshot::Sender<Outcome>)> {
        let mut waiting = self.waiting.borrow_mut();
        while let Some((request, sender)) = waiting.pop_front() {
            if !sender.is_closed() {
                return Some((request, sender));
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// The connection is gone, and whoever waits for it has to be told.
    pub(super) fn fail(&self, fault: &Fault) {
        self.state.set(State::Closed);
        for (_, sender) in self.waiting.borrow_mut().drain(..) {
            let _ = sender.send(again(fault.clone()));
        }
    }
}

fn lost() -> Fault {
    Fault::new(Code::MqttDisconnected, "the connection to the broker was lost")
}

/// Those that the broker has to answer.
#[derive(Default)]
pub(super) struct InFlight {
    by_id: HashMap<u16, oneshot::Sender<Outcome>>,
    /// QoS 0: delivered when they have left.
    unwritten: Vec<oneshot::Sender<Outcome>>,
}

impl InFlight {
    pub(super) fn len(&self) -> usize {
        self.by_id.len() + self.unwritten.len()
    }

    pub(super) fn add(&mut self, packet_id: Option<u16>, sender: oneshot::Sender<Outcome>) {
        match packet_id {
            Some(packet_id) => {
                self.by_id.insert(packet_id, sender);
            }
            None => self.unwritten.push(sender),
        }
    }

    pub(super) fn on_written(&mut self) {
        for sender in self.unwritten.drain(..) {
            let _ = sender.send(Outcome::Delivered);
        }
    }

    /// Whether the number is one of QoS 2 that goes on with PUBREL.
    pub(super) fn on_recorded(&mut self, packet_id: u16, answer: Answer) -> bool {
        if answer.is_failure() {
            self.on_answer(packet_id, answer);
        }
        !answer.is_failure()
    }

    pub(super) fn on_answer(&mut self, packet_id: u16, answer: Answer) {
        if let Some(sender) = self.by_id.remove(&packet_id) {
            let _ = sender.send(outcome(answer));
        }
    }

    pub(super) fn fail(&mut self, fault: &Fault) {
        let senders = self.by_id.drain().map(|(_, sender)| sender).chain(self.unwritten.drain(..));
        for sender in senders {
            let _ = sender.send(again(fault.clone()));
        }
    }
}

/// What is the message's own fault is permanent; what passes, or what the operator mends, is tried again.
fn outcome(answer: Answer) -> Outcome {
    if !answer.is_failure() {
        return Outcome::Delivered;
    }
    let fault = reason::fault("refuses the message", answer.0, "");
    match fault.code() {
        Code::MqttForbidden | Code::MqttTopicInvalid | Code::MqttPayloadRefused | Code::MqttPacketTooLarge => {
            Outcome::Permanent(fault)
        }
        _ => again(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_a_broker_is_an_outcome() {
        let code = |number| match outcome(Answer(number)) {
            Outcome::Delivered => None,
            Outcome::Retry { fault, .. } => Some((fault.code(), false)),
            Outcome::Permanent(fault) => Some((fault.code(), true)),
        };
        for (number, expected) in [
            (0x00, None),
            // Nobody has subscribed; the broker has taken it all the same.
            (0x10, None),
            (0x80, Some((Code::MqttRejected, false))),
            (0x83, Some((Code::MqttRejected, false))),
            (0x87, Some((Code::MqttForbidden, true))),
            (0x90, Some((Code::MqttTopicInvalid, true))),
            (0x91, Some((Code::MqttRejected, false))),
            (0x97, Some((Code::MqttQuotaExceeded, false))),
            (0x99, Some((Code::MqttPayloadRefused, true))),
        ] {
            assert_eq!(code(number), expected, "{number:#x}");
        }
    }
}
