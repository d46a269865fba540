//! Random histories of a broker, a line that breaks, and a host. Whatever has happened: as soon as the line holds and the
//! host stores, everything is read, stored and acked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::mqtt::broker::Qos;

const WINDOW: usize = 4;

#[derive(Clone, Debug)]
enum Event {
    Published,
    /// A packet of the broker gets through, if it is read.
    Delivered,
    Read,
    /// Of what the host has, counted round.
    Stored(usize),
    Returned(usize),
    /// For a reason that may be its own.
    Refused(usize),
    RefusedForGood(usize),
    /// The acks leave the node.
    AcksSent,
    /// So many of them reach the broker.
    AcksArrive(usize),
    Lost,
    /// The broker still has the session; of what it has sent it lets go what has these places.
    Resumed(BTreeSet<usize>),
    Forgotten,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let one = || 0_usize..8;
    let event = prop_oneof![
        6 => Just(Event::Published),
        8 => Just(Event::Delivered),
        4 => Just(Event::Read),
        6 => one().prop_map(Event::Stored),
        1 => one().prop_map(Event::Returned),
        1 => one().prop_map(Event::Refused),
        1 => one().prop_map(Event::RefusedForGood),
        4 => Just(Event::AcksSent),
        3 => one().prop_map(Event::AcksArrive),
        2 => Just(Event::Lost),
        3 => Just(Event::Resumed(BTreeSet::new())),
        1 => prop::collection::btree_set(0_usize..12, 0..4).prop_map(Event::Resumed),
        1 => Just(Event::Forgotten),
    ];
    prop::collection::vec(event, 0..150)
}

#[derive(Clone, Copy, PartialEq)]
enum Packet {
    Publish { id: u16, message: u64, is_duplicate: bool },
    Pubrel(u16),
}

struct World {
    qos: Qos,
    inbox: Inbox,
    is_connected: bool,
    /// What the broker has sent in this session and has no ack for, in order; `true`: it has PUBREC and wants PUBCOMP.
    in_flight: Vec<(u16, u64, bool)>,
    /// On its way to the node.
    line: VecDeque<Packet>,
    /// On its way to the broker.
    back: VecDeque<Ack>,
    /// Publishes of this connection that the node has and has not acked.
    unanswered: Vec<(u16, u64)>,
    next_id: u16,
    published: u64,
    /// The host's number and the message.
    in_hand: Vec<(u64, u64)>,
    was_stored: BTreeSet<u64>,
    /// Refused for a time: its ack may come after those behind it.
    was_refused: BTreeSet<u64>,
    /// What the broker has let go of, for another client of the group.
    let_go: BTreeSet<u64>,
}

impl World {
    fn new(qos: Qos) -> World {
        let inbox = Inbox::new(WINDOW, 1 << 20);
        inbox.on_connected(false);
        World {
            qos,
            inbox,
            is_connected: true,
            in_flight: Vec::new(),
            line: VecDeque::new(),
            back: VecDeque::new(),
            unanswered: Vec::new(),
            next_id: 0,
            published: 0,
            in_hand: Vec::new(),
            was_stored: BTreeSet::new(),
            was_refused: BTreeSet::new(),
            let_go: BTreeSet::new(),
        }
    }

    fn publish(&mut self, message: u64) {
        self.next_id = self.next_id % 100 + 1;
        while self.in_flight.iter().any(|(id, ..)| *id == self.next_id) {
            self.next_id = self.next_id % 100 + 1;
        }
        self.in_flight.push((self.next_id, message, false));
        if self.is_connected {
            self.line.push_back(Packet::Publish { id: self.next_id, message, is_duplicate: false });
        }
    }

    fn deliver(&mut self) {
        if !self.is_connected || !self.inbox.has_room() {
            return;
        }
        match self.line.pop_front() {
            Some(Packet::Publish { id, message, is_duplicate }) => {
                let arrival = Arrival { packet_id: Some(id), qos: self.qos, is_duplicate, digest: message };
                self.unanswered.push((id, message));
                self.inbox.on_publish(arrival, || Incoming {
                    item: 0,
                    binding: 0,
                    payload: Bytes::copy_from_slice(&message.to_be_bytes()),
                    headers: Vec::new(),
                    content_type: "".into(),
                    idempotency_key: None,
                    place: None,
                    fault: None,
                });
            }
            Some(Packet::Pubrel(id)) => {
                self.inbox.on_pubrel(id);
                // PUBCOMP leaves at once.
                self.in_flight.retain(|(other, _, is_recorded)| !(*is_recorded && *other == id));
            }
            None => {}
        }
    }

    fn read(&mut self) {
        let mut held = self.inbox.held.borrow_mut();
        held.later.iter_mut().for_each(|(at, _)| *at = Instant::now());
        for incoming in held.take(3, 1 << 20) {
            let message = u64::from_be_bytes((*incoming.payload).try_into().unwrap());
            self.in_hand.push((incoming.item, message));
        }
    }

    fn settle(&mut self, at: usize, outcome: impl FnOnce(Bytes) -> Settled) -> Option<u64> {
        let (item, message) =
            if self.in_hand.is_empty() { None? } else { self.in_hand.remove(at % self.in_hand.len()) };
        self.inbox.settle(item, outcome(Bytes::new()));
        Some(message)
    }

    fn store(&mut self, at: usize) {
        let message = self.settle(at, |_| Settled::Stored { id: "1".into() });
        self.was_stored.extend(message);
    }

    fn refuse(&mut self, at: usize, code: Code, retry_after: Option<Duration>) -> Option<u64> {
        self.settle(at, |_| Settled::Refused { fault: Fault::new(code, "no"), retry_after })
    }

    /// Each ack is for a publish of this connection whose message is stored, and they are in the order of these.
    fn send_acks(&mut self) {
        if !self.is_connected {
            return;
        }
        for ack in self.inbox.take_acks() {
            let at = self.unanswered.iter().position(|(id, _)| *id == ack.packet_id).expect("an ack for nothing");
            for (_, before) in &self.unanswered[..at] {
                assert!(self.was_refused.contains(before), "{before} comes before, and is not acked");
            }
            let (_, message) = self.unanswered.remove(at);
            assert!(self.was_stored.contains(&message), "{message} is acked and not stored");
            self.back.push_back(ack);
        }
    }

    fn receive_acks(&mut self, count: usize) {
        for ack in self.back.drain(..count.min(self.back.len())) {
            let Some(at) = self.in_flight.iter().position(|(id, ..)| *id == ack.packet_id) else { continue };
            if self.qos == Qos::AtLeastOnce || ack.refused {
                self.in_flight.remove(at);
            } else if !self.in_flight[at].2 {
                self.in_flight[at].2 = true;
                self.line.push_back(Packet::Pubrel(ack.packet_id));
            }
        }
    }

    fn lose(&mut self) {
        self.is_connected = false;
        self.line.clear();
        self.back.clear();
        self.unanswered.clear();
        self.inbox.on_lost(Code::MqttDisconnected);
    }

    fn connect(&mut self, is_resumed: bool, let_go: &BTreeSet<usize>) {
        if self.is_connected {
            self.lose();
        }
        let mut at = 0;
        self.in_flight.retain(|(_, message, _)| {
            at += 1;
            let is_kept = is_resumed && !let_go.contains(&(at - 1));
            if !is_kept {
                self.let_go.insert(*message);
            }
            is_kept
        });
        self.is_connected = true;
        self.inbox.on_connected(is_resumed);
        for (id, message, is_recorded) in &self.in_flight {
            self.line.push_back(match is_recorded {
                true => Packet::Pubrel(*id),
                false => Packet::Publish { id: *id, message: *message, is_duplicate: true },
            });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Published => {
                self.publish(self.published);
                self.published += 1;
            }
            Event::Delivered => self.deliver(),
            Event::Read => self.read(),
            Event::Stored(at) => self.store(at),
            Event::Returned(at) => drop(self.refuse(at, Code::LimitRate, Some(Duration::ZERO))),
            Event::Refused(at) => {
                let message = self.refuse(at, Code::NatsRefused, Some(Duration::ZERO));
                self.was_refused.extend(message);
            }
            Event::RefusedForGood(at) => {
                let message = self.refuse(at, Code::NatsMaxPayload, None);
                self.was_stored.extend(message);
            }
            Event::AcksSent => self.send_acks(),
            Event::AcksArrive(count) => self.receive_acks(count),
            Event::Lost => self.lose(),
            Event::Resumed(let_go) => self.connect(true, &let_go),
            Event::Forgotten => self.connect(false, &BTreeSet::new()),
        }
    }

    fn is_quiet(&self) -> bool {
        let held = self.inbox.held.borrow();
        self.line.is_empty() && self.in_flight.is_empty() && held.messages.is_empty() && self.in_hand.is_empty()
    }

    /// The line holds, and the host stores.
    fn settle_down(&mut self) {
        if !self.is_connected {
            self.connect(true, &BTreeSet::new());
        }
        let rounds = 10 * (self.published + 10);
        for _ in 0..rounds {
            if self.is_quiet() {
                return;
            }
            self.deliver();
            self.read();
            self.store(0);
            self.send_acks();
            self.receive_acks(usize::MAX);
        }
        panic!("stuck: {} on the line, {} in flight", self.line.len(), self.in_flight.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_stuck_and_nothing_acked_that_is_not_stored(history in events(), is_qos_2 in any::<bool>()) {
        let mut world = World::new(if is_qos_2 { Qos::ExactlyOnce } else { Qos::AtLeastOnce });
        for event in history {
            world.happen(event);
        }
        world.settle_down();
        let lost: BTreeMap<u64, bool> =
            (0..world.published).filter(|message| !world.was_stored.contains(message)).map(|message| (message, world.let_go.contains(&message))).collect();
        prop_assert!(lost.values().all(|was_let_go| *was_let_go), "lost: {lost:?}");
        // Nothing is left of all that.
        let held = world.inbox.held.borrow();
        prop_assert_eq!((held.bytes, held.answers.waiting(), held.ready.len(), held.later.len()), (0, 0, 0, 0));
    }
}
