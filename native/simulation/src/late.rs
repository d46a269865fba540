//! PubAcks that come later than what was sent after them: the real server stores in a task of its own, so that a
//! subscriber of the subject may have answered before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use model::ConnectionId;
use nats::protocol::{Frame, ParserLimits, parse};

use crate::story::Story;

/// When a frame comes, in nanoseconds, and in which order it was sent.
type Place = (u64, u64);

/// Frames on their way, and to which connection.
#[derive(Default)]
pub struct Late {
    frames: RefCell<BTreeMap<Place, (ConnectionId, Vec<u8>)>>,
    sent: Cell<u64>,
}

impl Late {
    /// Takes some PubAcks out of what the server has sent.
    pub fn delay_some(&self, story: &Story, id: ConnectionId, output: &mut Vec<u8>) {
        if output.is_empty() || !story.one_in(3) {
            return;
        }
        let (mut kept, mut used) = (Vec::with_capacity(output.len()), 0);
        while let Ok(Some((frame, count))) = parse(&output[used..], &ParserLimits::default()) {
            let bytes = &output[used..used + count];
            match frame {
                Frame::Message(message) if message.payload.starts_with(b"{\"stream\":") && story.one_in(3) => {
                    let at = story.server_ns() + story.random(1..30) * 1_000_000;
                    let order = self.sent.replace(self.sent.get() + 1);
                    self.frames.borrow_mut().insert((at, order), (id, bytes.to_vec()));
                }
                _ => kept.extend_from_slice(bytes),
            }
            used += count;
        }
        kept.extend_from_slice(&output[used..]);
        *output = kept;
    }

    /// Adds what has come by now.
    pub fn take_due(&self, story: &Story, id: ConnectionId, output: &mut Vec<u8>) {
        let now = story.server_ns();
        let due = |(at, _): &Place, (to, _): &mut (ConnectionId, Vec<u8>)| *at <= now && *to == id;
        let due: Vec<_> = self.frames.borrow_mut().extract_if(.., due).collect();
        due.into_iter().for_each(|(_, (_, bytes))| output.extend_from_slice(&bytes));
    }

    /// When the next one comes.
    pub fn next_ns(&self) -> Option<u64> {
        self.frames.borrow().keys().next().map(|(at, _)| *at)
    }
}
