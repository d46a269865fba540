//! The jobs of a shard: what is given elsewhere, what comes back, how much it may hold.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use message::Fault;
use script::thread_cpu;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::LARGE;
use super::super::budget::Share;
use super::work::{Job, Worked, work};
use crate::catch_panic::catch_panic;
use crate::engine::message::InputRef;
use crate::engine::registry::Revision;
use crate::engine::world::Elsewhere;

/// Payloads of streams that may wait or be worked on, in bytes; each is larger than [`LARGE`], so at most 64.
/// One is taken whatever its size. Those of core NATS count in their customers' shares.
const MAX_BYTES: usize = 64 << 20;

/// A job comes back with what became of it.
pub struct LargeDone {
    pub(super) job: Job,
    pub(super) worked: Result<Worked, Fault>,
    /// CPU time that it has taken.
    pub(super) used: Duration,
}

/// Where jobs come back.
pub type LargeReceiver = UnboundedReceiver<LargeDone>;

/// What of a message cannot leave the shard.
pub struct Held {
    pub revision: Rc<Revision>,
    pub input: InputRef,
    /// Of a core NATS message.
    pub share: Option<Share>,
}

impl Held {
    fn bytes(&self, job: &Job) -> usize {
        if self.input == InputRef::Core { 0 } else { job.message.payload.len() + job.wanted.bytes() }
    }
}

/// The messages of a shard that are worked on elsewhere.
pub struct Large {
    elsewhere: Box<dyn Elsewhere>,
    done: UnboundedSender<LargeDone>,
    pub receiver: Option<LargeReceiver>,
    held: BTreeMap<u64, Held>,
    /// Of payloads of streams.
    bytes: usize,
    next: u64,
    work: fn(&Job) -> Result<Worked, Fault>,
}

impl Large {
    pub fn new(elsewhere: Box<dyn Elsewhere>) -> Large {
        let (done, receiver) = unbounded_channel();
        Large { elsewhere, done, receiver: Some(receiver), held: BTreeMap::new(), bytes: 0, next: 0, work }
    }

    /// Whether no message is elsewhere.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= MAX_BYTES
    }

    /// Whether another payload may be too much.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_room(LARGE)
    }

    pub fn submit(&mut self, held: Held, mut job: Job) {
        job.token = self.next;
        self.next += 1;
        self.bytes += held.bytes(&job);
        self.held.insert(job.token, held);
        let (done, work) = (self.done.clone(), self.work);
        self.elsewhere.run(Box::new(move || {
            if done.is_closed() {
                return;
            }
            let began = thread_cpu();
            let worked = catch_panic(|| work(&job));
            let used = thread_cpu().saturating_sub(began);
            // The shard may have ended meanwhile.
            let _ = done.send(LargeDone { job, worked, used });
        }));
    }

    pub fn release(&mut self, job: &Job) -> Option<Held> {
        let held = self.held.remove(&job.token)?;
        self.bytes -= held.bytes(job);
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::Wanted;
    use super::*;
    use crate::engine::message::{EntryId, OwnedMessage};
    use crate::engine::steps::tests::revision;
    use crate::engine::world::WorkThread;
    use crate::fan_out::{Leaf, Output};
    use message::Code;
    use serde_json::json;
    use std::sync::Arc;

    fn with(work: fn(&Job) -> Result<Worked, Fault>) -> Large {
        Large { work, ..Large::new(Box::<WorkThread>::default()) }
    }

    fn filters() -> Rc<Revision> {
        revision(&json!([{"filter": "id > 0"}]), &json!({"nats": {"subject": "out"}}), &json!({}))
    }

    fn submit(large: &mut Large, revision: &Rc<Revision>, payload: Vec<u8>) {
        let input = InputRef::Entry(EntryId::new(0, 0));
        let envelope = crate::engine::steps::tests::envelope(&revision.owner, input);
        let job = Job {
            token: 0,
            wanted: Wanted::Steps { cut: None, way: None, fan_out: None },
            pipeline: Arc::clone(&revision.owner.pipeline),
            message: OwnedMessage::of(&envelope, payload.into()),
            seen: std::cell::RefCell::default(),
        };
        large.submit(Held { revision: Rc::clone(revision), input, share: None }, job);
    }

    /// The only one.
    fn is_leaf(done: &LargeDone, wanted: impl Fn(&Leaf) -> bool) -> bool {
        matches!(&done.worked, Ok(Worked::Steps(fan_out, _)) if wanted(&fan_out.leaves()[0].1))
    }

    fn next(large: &mut Large) -> LargeDone {
        large.receiver.as_mut().unwrap().blocking_recv().unwrap()
    }

    #[test]
    fn a_panic_is_a_fault_of_its_message_and_the_thread_goes_on() {
        let mut large = with(|job| if job.message.payload.is_empty() { panic!("a defect") } else { work(job) });
        let revision = filters();
        for payload in ["", r#"{"id": 0}"#, r#"{"id": 1}"#, r#"{"id": 1"#] {
            submit(&mut large, &revision, payload.into());
        }
        assert_eq!(next(&mut large).worked.err().unwrap().code(), Code::InternalPanic);
        assert!(is_leaf(&next(&mut large), |leaf| *leaf == Leaf::Dropped { stage: 0 }));
        let is_forwarded = |leaf: &Leaf| matches!(leaf, Leaf::Output(Output { rendered: None, .. }));
        assert!(is_leaf(&next(&mut large), is_forwarded));
        assert!(next(&mut large).worked.err().unwrap().code().as_str().starts_with("json/"));
    }

    #[test]
    fn one_payload_is_taken_whatever_its_size_and_more_only_within_the_bound() {
        let mut large = with(|_| Ok(Worked::Address(None)));
        let revision = filters();
        assert!(large.has_room(MAX_BYTES + 1));
        submit(&mut large, &revision, vec![0; MAX_BYTES]);
        assert!(large.is_full() && !large.has_room(1));
        submit(&mut large, &revision, vec![0; LARGE]);
        for left in [1, 0] {
            let done = next(&mut large);
            assert!(large.release(&done.job).is_some());
            assert_eq!(large.held.len(), left);
        }
        assert_eq!((large.bytes, large.is_full()), (0, false));
    }
}
