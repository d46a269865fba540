//! The jobs of a shard: what its thread is given, what it gives back, how much it may hold.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use message::Fault;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::super::install::Installed;
use super::super::publish::Parent;
use super::super::queue::OutQueue;
use super::LARGE;
use super::work::{Job, Worked, work};
use crate::worker::caught;

/// Payloads that may wait or be worked on, in bytes; each is larger than [`LARGE`], so at most 64.
/// One is taken whatever its size.
const MOST_BYTES: usize = 64 << 20;

/// A job comes back with what became of it.
pub struct Done {
    pub job: Job,
    pub worked: Result<Worked, Fault>,
}

/// What of a message cannot leave the shard.
pub struct Held {
    pub installed: Rc<Installed>,
    pub parent: Parent,
    pub queue: Option<Rc<OutQueue>>,
}

type Work = fn(&Job) -> Result<Worked, Fault>;

/// The thread of a shard, started by its first job, and the messages that are with it.
pub struct Large {
    jobs: Option<Sender<Job>>,
    done: UnboundedSender<Done>,
    pub(super) arrived: Option<UnboundedReceiver<Done>>,
    held: HashMap<u64, Held>,
    bytes: usize,
    next: u64,
    work: Work,
}

impl Default for Large {
    fn default() -> Large {
        Large::new(work)
    }
}

impl Large {
    fn new(work: Work) -> Large {
        let (done, arrived) = unbounded_channel();
        Large { jobs: None, done, arrived: Some(arrived), held: HashMap::new(), bytes: 0, next: 0, work }
    }

    /// Messages that are with the thread.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.held.is_empty() || self.bytes + bytes <= MOST_BYTES
    }

    /// Whether it was given more than it should hold, which only core NATS does.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.bytes > MOST_BYTES && self.held.len() > 1
    }

    /// Whether another payload may be too much.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.has_room(LARGE)
    }

    pub(super) fn submit(&mut self, held: Held, mut job: Job) {
        job.token = self.next;
        self.next += 1;
        self.bytes += job.payload.len();
        self.held.insert(job.token, held);
        let Some(job) = self.send(job) else { return };
        // Without a thread the shard does it itself, late rather than never.
        let worked = caught(|| (self.work)(&job));
        let _ = self.done.send(Done { job, worked });
    }

    /// Gives the job back when there is no thread and none can be started.
    fn send(&mut self, job: Job) -> Option<Job> {
        let job = match &self.jobs {
            Some(jobs) => match jobs.send(job) {
                Ok(()) => return None,
                Err(error) => error.0,
            },
            None => job,
        };
        self.jobs = start(self.done.clone(), self.work);
        match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        }
    }

    pub(super) fn release(&mut self, job: &Job) -> Option<Held> {
        let held = self.held.remove(&job.token)?;
        self.bytes -= job.payload.len();
        Some(held)
    }
}

fn start(done: UnboundedSender<Done>, work: Work) -> Option<Sender<Job>> {
    let (jobs, waiting) = channel();
    let thread = std::thread::Builder::new().name("large".into());
    // Not joined: it ends with the shard, after the job it is at.
    thread.spawn(move || serve(&waiting, &done, work)).ok().map(|_| jobs)
}

fn serve(waiting: &Receiver<Job>, done: &UnboundedSender<Done>, work: Work) {
    while let Ok(job) = waiting.recv() {
        if done.is_closed() {
            return;
        }
        let worked = caught(|| work(&job));
        if done.send(Done { job, worked }).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::core::Envelope;
    use super::super::super::kept::Kept;
    use super::super::super::logic::Part;
    use super::super::work::Wanted;
    use super::*;
    use crate::compile::Pipeline;
    use crate::engine::Secrets;
    use crate::engine::install::Prepared;
    use crate::engine::metrics::Counters;
    use message::{Code, Headers};
    use serde_json::json;
    use std::sync::Arc;

    fn installed() -> Rc<Installed> {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": "in"}},
            "steps": [{"filter": "id > 0"}], "out": {"nats": {"subject": "out"}},
        });
        let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
        let settings = json!({"nats": {"url": "nats://127.0.0.1"}, "files": "files"});
        let settings = serde_json::from_value(settings).unwrap();
        let counters = vec![Arc::new(Counters::default())];
        Installed::new(&Prepared::new(pipeline, Secrets::default(), counters, &settings).unwrap(), 0, Vec::new())
    }

    fn submit(large: &mut Large, installed: &Rc<Installed>, payload: Vec<u8>) {
        let parent = Parent::Core;
        let headers = Headers::new(b"");
        let envelope = Envelope { installed, parent, id: "m1", root: "m1", headers, content_type: "", time_ms: 0 };
        let job = Job {
            token: 0,
            wanted: Wanted::Steps,
            pipeline: Arc::clone(&installed.pipeline),
            payload: payload.into(),
            kept: Kept::of(&envelope),
        };
        large.submit(Held { installed: Rc::clone(installed), parent, queue: None }, job);
    }

    fn next(large: &mut Large) -> Done {
        large.arrived.as_mut().unwrap().blocking_recv().unwrap()
    }

    #[test]
    fn a_panic_is_a_fault_of_its_message_and_the_thread_goes_on() {
        let mut large = Large::new(|job| if job.payload.is_empty() { panic!("a defect") } else { work(job) });
        let installed = installed();
        for payload in ["", r#"{"id": 0}"#, r#"{"id": 1}"#, r#"{"id": 1"#] {
            submit(&mut large, &installed, payload.into());
        }
        assert_eq!(next(&mut large).worked.err().unwrap().code(), Code::InternalPanic);
        assert!(matches!(next(&mut large).worked, Ok(Worked::Dropped(0))));
        assert!(matches!(next(&mut large).worked, Ok(Worked::Through(Part { rendered: None, .. }, _))));
        assert!(next(&mut large).worked.err().unwrap().code().as_str().starts_with("json/"));
    }

    #[test]
    fn a_thread_that_has_ended_is_started_again() {
        let mut large = Large { jobs: Some(channel().0), ..Large::default() };
        submit(&mut large, &installed(), br#"{"id": 1}"#.to_vec());
        assert!(matches!(next(&mut large).worked, Ok(Worked::Through(..))));
    }

    #[test]
    fn one_payload_is_taken_whatever_its_size_and_more_only_within_the_bound() {
        let mut large = Large::new(|_| Ok(Worked::Dropped(0)));
        let installed = installed();
        assert!(large.has_room(MOST_BYTES + 1));
        submit(&mut large, &installed, vec![0; MOST_BYTES]);
        assert!(large.is_full() && !large.has_room(1) && !large.is_overfull());
        submit(&mut large, &installed, vec![0; LARGE]);
        assert!(large.is_overfull());
        for left in [1, 0] {
            let done = next(&mut large);
            assert!(large.release(&done.job).is_some());
            assert_eq!(large.len(), left);
        }
        assert_eq!((large.bytes, large.is_full()), (0, false));
    }
}
