//! Payloads that take long to read: one thread per shard, so that other customers' messages go on
//! meanwhile.
//!
//! ```text
//! run, enqueue ──Job──► thread: parse ─► advance ─► render ──Done──► on_large ─┬─► publish
//!      └─ no room: JetStream sent back; core NATS taken, and reading stops     ├─► script executor
//!                                                                              ├─► dead letter
//!                                                                              └─► an out's queue
//! ```

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use message::{Code, Document, Fault, Headers, Outs};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::core::{Core, Envelope};
use super::install::Installed;
use super::ledger::Outcome;
use super::logic::{Part, content_type, context, render};
use super::publish::Parent;
use super::queue::OutQueue;
use super::shard::Shard;
use crate::compile::{Pipeline, Progress};
use crate::worker::caught;

/// A payload above this is read on the thread.
pub const LARGE: usize = 1 << 20;
/// Payloads that may wait or be worked on, in bytes; each is larger than [`LARGE`], so at most 64.
/// One is taken whatever its size.
const MOST_BYTES: usize = 64 << 20;
/// Above that, a JetStream message is offered again after this.
const FULL_DELAY: Duration = Duration::from_secs(1);

/// What is wanted of a payload.
#[derive(Clone, Copy)]
enum Wanted {
    /// The pipeline's steps, from the first one on.
    Steps,
    /// The URL of this out.
    Url(usize),
}

/// One payload, and what the thread has to know of its message.
struct Job {
    token: u64,
    wanted: Wanted,
    pipeline: Arc<Pipeline>,
    payload: Bytes,
    id: Box<str>,
    root: Box<str>,
    headers: Bytes,
    content_type: Box<str>,
    time_ms: u64,
}

/// How far the thread came.
enum Worked {
    /// To these outs; with the bytes and their content type, unless the payload goes on as it came.
    Through(Outs, Option<(Vec<u8>, &'static str)>),
    Script(usize, Document),
    Dropped(usize),
    Url(Option<String>),
}

/// A job comes back with what became of it.
pub struct Done {
    job: Job,
    worked: Result<Worked, Fault>,
}

/// What of a message cannot leave the shard.
struct Held {
    installed: Rc<Installed>,
    parent: Parent,
    queue: Option<Rc<OutQueue>>,
}

type Work = fn(&Job) -> Result<Worked, Fault>;

/// The thread of a shard, started by its first job, and the messages that are with it.
pub struct Large {
    jobs: Option<Sender<Job>>,
    done: UnboundedSender<Done>,
    arrived: Option<UnboundedReceiver<Done>>,
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

    fn has_room(&self, bytes: usize) -> bool {
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

    fn submit(&mut self, held: Held, mut job: Job) {
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

    fn release(&mut self, job: &Job) -> Option<Held> {
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

fn work(job: &Job) -> Result<Worked, Fault> {
    let mut document = Document::default();
    match job.wanted {
        Wanted::Steps => steps(job, document),
        Wanted::Url(target) => {
            job.pipeline.parse_output(&job.payload, &job.content_type, &mut document)?;
            job.pipeline.outs()[target].url(&document).map(Worked::Url)
        }
    }
}

fn steps(job: &Job, mut document: Document) -> Result<Worked, Fault> {
    let pipeline = &job.pipeline;
    pipeline.parse(&job.payload, &job.content_type, &mut document)?;
    let context = context(pipeline, &job.id, job.time_ms, Headers::new(&job.headers));
    match pipeline.advance(0, &mut document, &context) {
        Progress::Script { stage } => Ok(Worked::Script(stage, document)),
        Progress::Dropped { stage } => Ok(Worked::Dropped(stage)),
        Progress::Failed(fault) => Err(fault),
        Progress::Done(outs) => {
            let mut bytes = Vec::new();
            let rendered = render(&document, pipeline.limits().output_bytes, &mut bytes)?;
            Ok(Worked::Through(outs, rendered.map(|_| (bytes, content_type(document.format())))))
        }
    }
}

/// Brings back what the thread has done, for as long as the shard lives.
pub async fn collect(shard: Rc<Shard>) {
    let Some(mut arrived) = shard.core.borrow_mut().large.arrived.take() else { return };
    while let Some(done) = arrived.recv().await {
        shard.with_core(|core, out| {
            core.on_large(done, out);
            core.top_up(out);
        });
        shard.has_collected();
    }
}

impl Core {
    /// The steps of a large payload, elsewhere.
    pub(super) fn run_large(&mut self, envelope: &Envelope<'_>, payload: &[u8], out: &mut Vec<u8>) {
        if let Err(fault) = self.hand_over(envelope, Wanted::Steps, None, payload) {
            self.settle(envelope.parent, Outcome::Retry(FULL_DELAY, fault), out);
        }
    }

    /// The URL of a large payload, elsewhere; then it goes to the queue.
    ///
    /// # Errors
    /// `limit/memory`: it has to come again.
    pub(super) fn url_large(
        &mut self,
        envelope: &Envelope<'_>,
        queue: Rc<OutQueue>,
        target: usize,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.hand_over(envelope, Wanted::Url(target), Some(Rc::clone(&queue)), payload)?;
        queue.expect();
        Ok(())
    }

    fn hand_over(
        &mut self,
        envelope: &Envelope<'_>,
        wanted: Wanted,
        queue: Option<Rc<OutQueue>>,
        payload: &[u8],
    ) -> Result<(), Fault> {
        // Nobody could send a core message again: it is taken, and nothing more is read.
        if envelope.parent != Parent::Core && !self.large.has_room(payload.len()) {
            return Err(Fault::new(Code::LimitMemory, "too many large payloads wait"));
        }
        let job = Job {
            token: 0,
            wanted,
            pipeline: Arc::clone(&envelope.installed.pipeline),
            payload: Bytes::copy_from_slice(payload),
            id: envelope.id.into(),
            root: envelope.root.into(),
            headers: Bytes::copy_from_slice(envelope.headers.block()),
            content_type: envelope.content_type.into(),
            time_ms: envelope.time_ms,
        };
        let held = Held { installed: Rc::clone(envelope.installed), parent: envelope.parent, queue };
        self.large.submit(held, job);
        Ok(())
    }

    /// The thread is done with a payload: it goes on as a small one does.
    fn on_large(&mut self, done: Done, out: &mut Vec<u8>) {
        let Done { job, worked } = done;
        let Some(held) = self.large.release(&job) else { return };
        let envelope = Envelope {
            installed: &held.installed,
            parent: held.parent,
            id: &job.id,
            root: &job.root,
            headers: Headers::new(&job.headers),
            content_type: &job.content_type,
            time_ms: job.time_ms,
        };
        match worked {
            Ok(Worked::Script(stage, document)) => {
                let outputs = held.installed.pipeline.limits().outputs;
                self.submit(&envelope, stage, document, outputs, 0);
                return;
            }
            Ok(Worked::Url(url)) => {
                if let (Some(queue), Ok(queued)) = (&held.queue, self.addressed(&envelope, job.payload.clone(), url)) {
                    self.place(queue, queued);
                    queue.came();
                }
                return;
            }
            Ok(Worked::Dropped(stage)) => self.filtered(&envelope, stage),
            Ok(Worked::Through(outs, rendered)) => self.publish_large(&envelope, outs, rendered, &job.payload, out),
            Err(fault) => match &held.queue {
                Some(queue) => {
                    self.dead_letter(&envelope, &format!("out:{}", queue.name), &fault, 0, &job.payload, out);
                    queue.came();
                }
                None => self.fail(&envelope, &fault, 0, &job.payload, out),
            },
        }
        self.settle(held.parent, Outcome::Ok, out);
    }

    fn publish_large(
        &mut self,
        envelope: &Envelope<'_>,
        outs: Outs,
        rendered: Option<(Vec<u8>, &'static str)>,
        source: &[u8],
        out: &mut Vec<u8>,
    ) {
        let Some((mut bytes, content_type)) = rendered else {
            self.publish_part(envelope, source, "", &Part { number: 0, outs, range: None }, out);
            return;
        };
        // Its bytes stand in for the arena, instead of being copied into it.
        let range = Some(0..bytes.len());
        std::mem::swap(&mut self.arena, &mut bytes);
        self.publish_part(envelope, source, content_type, &Part { number: 0, outs, range }, out);
        std::mem::swap(&mut self.arena, &mut bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Secrets;
    use crate::engine::install::Prepared;
    use crate::engine::metrics::Counters;
    use serde_json::json;

    fn installed() -> Rc<Installed> {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"nats": {"subject": "in"}},
            "steps": [{"filter": "id > 0"}], "out": {"nats": {"subject": "out"}},
        });
        let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
        let settings = json!({"nats": {"url": "nats://127.0.0.1"}, "files": "files"});
        let settings = serde_json::from_value(settings).unwrap();
        let counters = vec![Arc::new(Counters::default())];
        Installed::new(&Prepared::new(pipeline, Secrets::default(), counters, &settings).unwrap(), 0)
    }

    fn submit(large: &mut Large, installed: &Rc<Installed>, payload: Vec<u8>) {
        let job = Job {
            token: 0,
            wanted: Wanted::Steps,
            pipeline: Arc::clone(&installed.pipeline),
            payload: payload.into(),
            id: "m1".into(),
            root: "m1".into(),
            headers: Bytes::new(),
            content_type: "".into(),
            time_ms: 0,
        };
        large.submit(Held { installed: Rc::clone(installed), parent: Parent::Core, queue: None }, job);
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
        assert!(matches!(next(&mut large).worked, Ok(Worked::Through(_, None))));
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
