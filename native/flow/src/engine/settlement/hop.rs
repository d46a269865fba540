//! Headers on the way out: this hop is the parent of what follows in a message's trace.

use message::{Hop, hop_in_place};

use super::headers::{Block, is_passed};
use crate::engine::message::{Envelope, Foreign, Traced};

impl Block {
    /// What came with the message and is not ours, with the hop under this id in its `traceparent`.
    #[inline]
    pub fn pass_on(&mut self, envelope: &Envelope<'_>, id: &[u8]) -> &mut Self {
        if let Foreign::Run { start, traced, .. } = envelope.foreign {
            let begin = self.bytes.len();
            let value = match traced {
                Traced::No => return self.pass(envelope),
                Traced::At(at) => at.checked_sub(start).map(|at| begin + at as usize),
                Traced::Otherwise => None,
            };
            if let Some(at) = value {
                self.pass(envelope);
                if self
                    .bytes
                    .get_mut(at..)
                    .and_then(|rest| rest.first_chunk_mut())
                    .is_some_and(|one| hop_in_place(one, id))
                {
                    return self;
                }
                self.bytes.truncate(begin);
            }
        }
        let hop = Hop::next(envelope.headers, id);
        let _ = hop.traceparent().map(|parent| self.put("traceparent", parent.as_bytes()));
        self.pass_where(envelope.headers, |name, value| is_passed(name, value) && hop.passes(name))
    }
}
