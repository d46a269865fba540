//! A shard of one pipeline, without a connection: what goes in, and what is written.

mod budgets;
mod canary;
mod elsewhere;
mod fan_out;
mod order;
mod refused;
mod resume;
mod same_part;
mod split;

use std::rc::Rc;
use std::sync::Arc;

use message::Headers;
use script::{Done, Runner, Task};
use serde_json::{Value, json};

use super::*;
use crate::compile::Pipeline;
use crate::engine::message::{Envelope, Foreign, Owner};
use crate::engine::observe::{Counters, Events, Metric};
use crate::engine::registry::{Prepared, Registry, Secrets};
use crate::engine::settlement::{Input, Origin, Settlement};
use crate::engine::world::WorkThread;
use crate::process::{Message, Processed, process};

const ACK: &[u8] = b"$JS.ACK.IN.orders.1.7.9.1700000000000000000.3";

pub(super) fn revision(steps: &Value, out: &Value, limits: &Value) -> Rc<Revision> {
    install(&mut Registry::new(0), "acme", (steps, out, limits))
}

fn install(registry: &mut Registry, customer: &str, file: (&Value, &Value, &Value)) -> Rc<Revision> {
    install_as(registry, "fused", customer, file)
}

fn install_as(
    registry: &mut Registry,
    topology: &str,
    customer: &str,
    (steps, out, limits): (&Value, &Value, &Value),
) -> Rc<Revision> {
    let file = json!({
        "customer": customer, "pipeline": "orders", "in": {"http": {"path": "/orders"}},
        "steps": steps, "out": out, "limits": limits,
    });
    let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": ".", "topology": topology});
    let settings = serde_json::from_value(settings).unwrap();
    let prepared = Prepared::new(pipeline, Secrets::default(), vec![Arc::new(Counters::default())], &settings).unwrap();
    registry.install(&prepared, Vec::new()).0
}

pub(super) fn envelope(owner: &Owner, input: InputRef) -> Envelope<'_> {
    let headers = Headers::new(b"");
    let (content_type, foreign) = ("", Foreign::default());
    Envelope {
        owner,
        input,
        id: "acme.1",
        part: 0,
        redrive: 0,
        resume: None,
        headers,
        foreign,
        content_type,
        time_ms: 7,
    }
}

fn code(text: &str) -> Value {
    json!({"script": {"code": format!("export default (msg, ctx) => {text}")}})
}

/// One publish.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    subject: String,
    headers: Vec<u8>,
    payload: String,
    bytes: Vec<u8>,
}

impl Frame {
    fn header(&self, name: &str) -> Option<&str> {
        Headers::new(&self.headers).get_str(name)
    }

    fn part(&self) -> Option<u64> {
        self.header("Vrsky-Part")?.parse().ok()
    }

    /// What `vrsky.dead...` it is, or which out.
    fn kind(&self) -> &str {
        self.subject.rsplit('.').next().unwrap()
    }
}

fn frames(mut wire: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(end) = wire.windows(2).position(|two| two == b"\r\n") {
        let line = std::str::from_utf8(&wire[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        // The last words; there may be a reply before them.
        let length = |from_end: usize| words[words.len() - from_end].parse::<usize>().unwrap();
        let (headers, body) = if words[0] == "HPUB" { (length(2), length(1)) } else { (0, length(1)) };
        let body = &wire[end + 2..][..body];
        if words[0] == "HPUB" {
            let (headers, bytes) = (body[..headers].to_vec(), body[headers..].to_vec());
            let payload = String::from_utf8_lossy(&bytes).into_owned();
            frames.push(Frame { subject: words[1].to_owned(), headers, payload, bytes });
        }
        wire = &wire[end + 2 + body.len() + 2..];
    }
    frames
}

struct Shard {
    steps: Steps,
    settlement: Settlement,
    revision: Rc<Revision>,
    runner: Runner,
    /// Where each run of steps is served from its own lane: what one message becomes has to be the same there.
    split: Option<Box<Shard>>,
    /// Of the message that was begun last.
    content_type: String,
}

impl Shard {
    fn new(steps: &Value, out: &Value, limits: &Value) -> Shard {
        let split = Shard::as_topology("split", (steps, out, limits));
        Shard { split: Some(Box::new(split)), ..Shard::as_topology("fused", (steps, out, limits)) }
    }

    fn as_topology(topology: &str, file: (&Value, &Value, &Value)) -> Shard {
        let mut settlement =
            Settlement::new("s0", [0; 32], fastrand::Rng::with_seed(0), Arc::new(Events::default()), 7);
        settlement.subscribe(8 << 20, &mut Vec::new());
        Shard {
            steps: Steps::new(Box::<WorkThread>::default()),
            settlement,
            revision: install_as(&mut Registry::new(0), topology, "acme", file),
            runner: Runner::new(),
            split: None,
            content_type: String::new(),
        }
    }

    fn open(&mut self) -> InputRef {
        let owner = &self.revision.owner;
        let (revision, customer) = (owner.id, owner.customer_id);
        self.settlement.open(&Input { origin: Origin::JetStream, revision, customer, bytes: 1, token: ACK })
    }

    fn begin(&mut self, content_type: &str, payload: impl AsRef<[u8]>) -> InputRef {
        let input = self.open();
        content_type.clone_into(&mut self.content_type);
        self.begin_as(Envelope { content_type, ..envelope(&Rc::clone(&self.revision).owner, input) }, payload);
        input
    }

    fn begin_as(&mut self, envelope: Envelope<'_>, payload: impl AsRef<[u8]>) {
        let revision = Rc::clone(&self.revision);
        self.steps.run(&mut self.settlement, &revision, &envelope, payload.as_ref(), None);
    }

    fn tasks(&mut self) -> Vec<Task> {
        let mut tasks = Vec::new();
        self.steps.take_tasks(&mut tasks);
        tasks
    }

    fn run_task(&self, task: Task) -> Done {
        let mut programs = self.revision.pipeline().programs();
        let program = programs.find(|program| program.id() == task.program).unwrap();
        Done { token: task.token, ..self.runner.run(program, task.document, &task.context, &task.limits) }
    }

    /// Runs all scripts; `pick` says which of so many comes back next.
    fn run_scripts(&mut self, mut pick: impl FnMut(usize) -> usize) {
        let mut tasks = self.tasks();
        while !tasks.is_empty() {
            let task = tasks.remove(pick(tasks.len()));
            let done = self.run_task(task);
            self.steps.on_script(&mut self.settlement, done);
            tasks.extend(self.tasks());
        }
    }

    /// What one message becomes.
    fn run(&mut self, content_type: &str, payload: impl AsRef<[u8]>) -> Vec<Frame> {
        let payload = payload.as_ref();
        self.begin(content_type, payload);
        self.run_scripts(|_| 0);
        let sent = self.sent();
        if let Some(split) = &mut self.split {
            split.begin(content_type, payload);
            assert_eq!(split.run_all(), sent);
        }
        sent
    }

    /// What a part becomes that was sent again from the dead letters.
    fn resume(&mut self, label: &str, part: u64, payload: &str) -> Vec<Frame> {
        self.begin_resumed(label, part, payload);
        self.run_scripts(|_| 0);
        let sent = self.sent();
        if let Some(split) = &mut self.split {
            split.begin_resumed(label, part, payload);
            assert_eq!(split.run_all(), sent);
        }
        sent
    }

    fn begin_resumed(&mut self, label: &str, part: u64, payload: &str) {
        let (input, revision) = (self.open(), Rc::clone(&self.revision));
        let (resume, content_type) = (Some(label), "application/json");
        content_type.clone_into(&mut self.content_type);
        let envelope = Envelope { resume, part, content_type, redrive: 1, ..envelope(&revision.owner, input) };
        self.begin_as(envelope, payload);
    }

    fn sent(&mut self) -> Vec<Frame> {
        assert!(self.steps.is_idle());
        frames(&std::mem::take(&mut self.settlement.wire))
    }

    fn process(&self, payload: &str) -> Processed {
        let message = Message { payload: payload.as_bytes(), content_type: "", headers: b"", id: "acme.1", time_ms: 7 };
        process(self.revision.pipeline(), &message, &mut Runner::new())
    }

    fn count(&self, metric: Metric) -> u64 {
        self.revision.owner.counters.get(metric)
    }
}

fn stdout() -> Value {
    json!({"stdout": {}})
}

fn payloads(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|frame| &*frame.payload).collect()
}

fn parts(frames: &[Frame]) -> Vec<u64> {
    frames.iter().filter_map(Frame::part).collect()
}
