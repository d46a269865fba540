//! What the broker is owed for its messages, and in which order it gets it.
//!
//! A connection has one queue: a PUBLISH takes its place at the end, whether it brings a message or repeats one, and
//! acks leave at the front (MQTT-4.6.0). Nothing in the queue waits for the broker, only for the host: what a former
//! connection left behind stands outside until the broker repeats it.

use std::collections::{HashMap, VecDeque};

use crate::mqtt::broker::Qos;

#[derive(Default)]
pub(super) struct Answers {
    queue: VecDeque<Place>,
    /// The number of the first in the queue.
    first: u64,
    /// Places in the queue whose message is settled.
    settled: usize,
    /// What former connections left behind, by packet id.
    former: HashMap<u16, Former>,
    /// QoS 2: stored and said so, not yet released by the broker. The digest by the packet id.
    recorded: HashMap<u16, u64>,
}

/// A PUBLISH that is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) packet_id: u16,
    pub(super) qos: Qos,
    pub(super) digest: u64,
}

/// What is to be sent for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) packet_id: u16,
    pub(super) qos: Qos,
    pub(super) refused: bool,
}

/// How a message that is here stands with the broker.
#[derive(Clone, Copy)]
pub(super) enum Owed {
    /// QoS 0, or the broker has it no longer.
    Nothing,
    /// The ack has this place in the queue.
    InTurn(u64, Ticket),
    /// The host has refused it for a time: the ack takes its place when the message is stored, and holds up none.
    Late(Ticket),
    /// Of a former connection; the broker is going to repeat it.
    Former(Ticket),
}

/// What a PUBLISH is.
pub(super) enum Meaning {
    New,
    /// The message of that number is here, and the host has not settled it.
    Held(u64),
    /// The broker has not heard yet that it is settled.
    Settled {
        refused: bool,
    },
}

struct Place {
    ticket: Ticket,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// For the host, which has the message of that number.
    Waits(u64),
    Settled {
        refused: bool,
    },
    /// Nothing is to be sent here.
    Void,
}

struct Former {
    digest: u64,
    state: State,
}

impl Answers {
    /// A new connection: what is not answered the broker repeats, if it still knows the session.
    pub(super) fn on_connected(&mut self, is_resumed: bool) {
        let queue = std::mem::take(&mut self.queue);
        (self.first, self.settled) = (self.first + queue.len() as u64, 0);
        if !is_resumed {
            self.former.clear();
            self.recorded.clear();
            return;
        }
        for Place { ticket: Ticket { packet_id, digest, .. }, state } in queue {
            if state != State::Void {
                self.former.insert(packet_id, Former { digest, state });
            }
        }
    }

    /// How an unsettled message stands with the broker after [`Answers::on_connected`].
    pub(super) fn after_connect(&mut self, item: u64, owed: Owed, is_resumed: bool) -> Owed {
        match owed {
            Owed::InTurn(_, ticket) | Owed::Former(ticket) if is_resumed => Owed::Former(ticket),
            Owed::Late(ticket) if is_resumed => {
                self.former.insert(ticket.packet_id, Former { digest: ticket.digest, state: State::Waits(item) });
                Owed::Former(ticket)
            }
            _ => Owed::Nothing,
        }
    }

    /// Repetitions come before anything new. What did not come by then the broker holds no longer, and its number may
    /// name another message.
    pub(super) fn meaning(&mut self, ticket: Ticket, is_repeated: bool) -> Meaning {
        if !is_repeated {
            self.recorded.remove(&ticket.packet_id);
            self.former.clear();
            return Meaning::New;
        }
        let former = self.former.remove(&ticket.packet_id).filter(|former| former.digest == ticket.digest);
        if ticket.qos == Qos::ExactlyOnce && self.recorded.get(&ticket.packet_id) == Some(&ticket.digest) {
            return Meaning::Settled { refused: false };
        }
        match former.map(|former| former.state) {
            Some(State::Waits(item)) => Meaning::Held(item),
            Some(State::Settled { refused }) => Meaning::Settled { refused },
            Some(State::Void) | None => Meaning::New,
        }
    }

    /// A place at the end for a message that the host is going to settle.
    pub(super) fn wait(&mut self, ticket: Ticket, item: u64) -> Owed {
        Owed::InTurn(self.push(ticket, State::Waits(item)), ticket)
    }

    /// A place at the end for one that is settled.
    pub(super) fn settled(&mut self, ticket: Ticket, refused: bool) {
        self.settled += 1;
        self.push(ticket, State::Settled { refused });
    }

    fn push(&mut self, ticket: Ticket, state: State) -> u64 {
        self.queue.push_back(Place { ticket, state });
        self.first + self.queue.len() as u64 - 1
    }

    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(index)
    }

    /// The host has settled a message.
    pub(super) fn settle(&mut self, item: u64, owed: Owed, refused: bool) {
        let state = State::Settled { refused };
        match owed {
            Owed::Nothing => {}
            Owed::InTurn(number, _) => {
                if let Some(place) = self.place(number) {
                    place.state = state;
                    self.settled += 1;
                }
            }
            Owed::Late(ticket) => self.settled(ticket, refused),
            Owed::Former(ticket) => {
                let former = self.former.get_mut(&ticket.packet_id);
                if let Some(former) = former.filter(|former| former.state == State::Waits(item)) {
                    former.state = state;
                }
            }
        }
    }

    /// The host has refused a message for a time: those behind it do not wait.
    pub(super) fn let_others_pass(&mut self, owed: Owed) -> Owed {
        let Owed::InTurn(number, ticket) = owed else { return owed };
        self.void(number);
        Owed::Late(ticket)
    }

    fn void(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            place.state = State::Void;
        }
    }

    /// Whether the broker is going to send the message again, since it was not acked. It never will be.
    pub(super) fn leave(&mut self, item: u64, owed: Owed) -> bool {
        match owed {
            Owed::Nothing => false,
            Owed::InTurn(number, _) => {
                self.void(number);
                true
            }
            Owed::Late(_) => true,
            Owed::Former(ticket) => {
                self.former.get(&ticket.packet_id).is_some_and(|former| former.state == State::Waits(item))
            }
        }
    }

    /// Acks of messages that are settled, up to the first that is not.
    pub(super) fn take(&mut self) -> Vec<Ack> {
        let mut acks = Vec::new();
        while let Some(Place { ticket: Ticket { packet_id, qos, digest }, state }) = self.queue.front() {
            match *state {
                State::Waits(_) => break,
                State::Void => {}
                State::Settled { refused } => {
                    acks.push(Ack { packet_id: *packet_id, qos: *qos, refused });
                    self.settled -= 1;
                    if *qos == Qos::ExactlyOnce && !refused {
                        self.recorded.insert(*packet_id, *digest);
                    }
                }
            }
            self.queue.pop_front();
            self.first += 1;
        }
        acks
    }

    /// Whether [`Answers::take`] has something.
    pub(super) fn is_due(&self) -> bool {
        let first = self.queue.iter().map(|place| place.state).find(|state| *state != State::Void);
        first.is_some_and(|state| !matches!(state, State::Waits(_)))
    }

    /// Settled messages that wait in the queue for the ack of one before them.
    pub(super) fn waiting(&self) -> usize {
        self.settled
    }

    /// The broker releases a message of QoS 2: its number may name another one.
    pub(super) fn release(&mut self, packet_id: u16) {
        self.recorded.remove(&packet_id);
    }
}
