//! The pipelines that seeds choose from: compiled once, each in two revisions whose outputs can be told apart.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use flow::compile::Pipeline;
use message::Fault;
use script::{Executor, Loaded, Runner};
use serde_json::{Value, json};

use crate::sink::place_of;

/// How messages come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Posted to this path.
    Http(String),
    /// Published to a subject of a stream.
    Stream(String),
    /// Published to a subject of core NATS.
    Core(String),
}

/// One pipeline.
pub struct Entry {
    pub customer: &'static str,
    pub name: &'static str,
    pub intake: Intake,
    /// Where each out leads: the name of a receiver, or `nats:` and a subject.
    pub outs: Vec<String>,
    pub revisions: [Arc<Pipeline>; 2],
}

/// What all seeds of a thread share: the pipelines, and what runs their scripts.
pub struct Catalogue {
    pub entries: Vec<Entry>,
    /// The node's.
    pub runner: Rc<Runner>,
    /// Keeps the scripts loaded from seed to seed.
    _loaded: Vec<Loaded>,
    /// The oracle's.
    pub reference: RefCell<Runner>,
}

/// What a canary runs in a world that has one.
pub const CANARY_MILLIONTHS: u32 = 500_000;

/// The streams of users: name and subjects.
pub const STREAMS: [(&str, &str); 2] = [("IN", "in.>"), ("OUT", "out.>")];

const TAG: &str = "export default m => { m.rev = REV; return m }";
const SPLIT: &str = "export default m => m.items.map((item, part) => ({ n: m.n, item, part, rev: REV }))";
const CAREFUL: &str = "export default m => { if (m.bad) throw new Error('bad'); m.rev = REV; return m }";
const SOME: &str = "export default m => { if (m.item % 7 == 5) throw new Error('part'); \
                    if (m.item % 7 == 6) return null; return m }";

impl Catalogue {
    /// # Errors
    /// A pipeline of it does not compile.
    pub fn new() -> Result<Catalogue, Vec<Fault>> {
        let entries = templates().into_iter().map(|(customer, name, template)| entry(customer, name, &template));
        let (entries, runner) = (entries.collect::<Result<Vec<Entry>, _>>()?, Rc::new(Runner::new()));
        let executor: Rc<dyn Executor> = Rc::clone(&runner) as Rc<dyn Executor>;
        let programs = entries.iter().flat_map(|entry| &entry.revisions).flat_map(|pipeline| pipeline.programs());
        Ok(Catalogue {
            _loaded: programs.map(|program| Loaded::new(&executor, program)).collect(),
            entries,
            runner,
            reference: RefCell::new(Runner::new()),
        })
    }

    /// The revision that is a canary beside the first one.
    #[must_use]
    pub fn canary(&self, entry: usize) -> Arc<Pipeline> {
        Arc::clone(&self.entries[entry].revisions[1])
    }
}

fn http(name: &str) -> Value {
    json!({"http": {"url": format!("http://{name}.sim/"), "retry_for": "2m", "timeout": "5s"}})
}

fn ordered(name: &str) -> Value {
    json!({"http": {"url": format!("http://{name}.sim/"), "retry_for": "2m", "timeout": "5s", "concurrency": 1}})
}

/// Several messages in one request.
fn batched(mut out: Value, messages: u32, wait: &str) -> Value {
    out["http"]["batch"] = json!({"messages": messages, "bytes": 4_096, "wait": wait});
    out
}

fn script(code: &str) -> Value {
    json!({"script": {"code": code}})
}

fn to(outs: &[&str]) -> Value {
    json!({"route": [{"to": outs}]})
}

fn stream_in(subject: &str, durable: &str) -> Value {
    json!({"nats": {"subject": subject, "mode": "jetstream", "stream": "IN", "durable": durable}})
}

fn stream_out(subject: &str) -> Value {
    json!({"nats": {"subject": subject, "mode": "jetstream", "stream": "OUT"}})
}

fn core_out(subject: &str) -> Value {
    json!({"nats": {"subject": subject}})
}

fn posted(path: &str) -> Value {
    json!({"http": {"path": path, "auth": "none"}})
}

fn templates() -> Vec<(&'static str, &'static str, Value)> {
    let pipeline = |input: Value, steps: &[Value], out: Value| json!({"in": input, "steps": steps, "out": out});
    vec![
        ("acme", "orders", pipeline(posted("/orders"), &[script(TAG)], http("acme-orders"))),
        (
            "acme",
            "eu-orders",
            pipeline(posted("/eu"), &[script(SPLIT), script(SOME)], batched(http("acme-eu"), 8, "700ms")),
        ),
        (
            "acme-eu",
            "orders",
            pipeline(
                posted("/orders"),
                &[script(CAREFUL), to(&["erp", "audit"])],
                json!({"erp": http("eu-erp"), "audit": http("eu-audit")}),
            ),
        ),
        ("acme-eu", "stream", pipeline(stream_in("in.eu", "eu"), &[script(TAG)], stream_out("out.eu"))),
        (
            "zeta",
            "feed",
            pipeline(
                stream_in("in.zeta", "zeta"),
                &[json!({"filter": "size(items) != 3"}), to(&["copy", "web"])],
                json!({"copy": stream_out("out.zeta"), "web": http("zeta-web")}),
            ),
        ),
        ("zeta", "bare", pipeline(stream_in("in.bare", "bare"), &[], stream_out("out.bare"))),
        (
            "zeta",
            "split",
            pipeline(stream_in("in.split", "split"), &[script(SPLIT)], batched(ordered("zeta-split"), 5, "50ms")),
        ),
        ("zeta", "core", pipeline(json!({"nats": {"subject": "core.zeta"}}), &[script(TAG)], stream_out("out.core"))),
        ("zeta", "relay", pipeline(json!({"nats": {"subject": "core.relay"}}), &[], core_out("tell.relay"))),
        ("acme", "tell", pipeline(posted("/tell"), &[script(TAG)], core_out("tell.acme"))),
        (
            "nova",
            "both",
            pipeline(
                stream_in("in.both", "both"),
                &[script(TAG), to(&["copy", "tell"])],
                json!({"copy": stream_out("out.both"), "tell": core_out("tell.both")}),
            ),
        ),
        ("nova", "line", pipeline(posted("/line"), &[], ordered("nova-line"))),
        (
            "nova",
            "runs",
            pipeline(
                posted("/runs"),
                &[
                    json!({"filter": "size(items) != 4"}),
                    script(CAREFUL),
                    json!({"filter": "rev > 0"}),
                    script(SPLIT),
                    json!({"filter": "item % 5 != 3"}),
                    script(SOME),
                ],
                http("nova-runs"),
            ),
        ),
        ("nova", "file", pipeline(posted("/file"), &[script(TAG)], json!({"file": {"path": "orders.ndjson"}}))),
        (
            "nova",
            "routed",
            pipeline(
                posted("/routed"),
                &[json!({"route": [{"when": "size(items) > 3", "to": ["many"]}, {"to": ["few", "many"]}]})],
                json!({"many": http("nova-many"), "few": http("nova-few")}),
            ),
        ),
    ]
}

fn entry(customer: &'static str, name: &'static str, template: &Value) -> Result<Entry, Vec<Fault>> {
    let compile = |revision: &str| {
        let mut file = template.clone();
        file["customer"] = customer.into();
        file["pipeline"] = name.into();
        Pipeline::from_json(&file.to_string().replace("REV", revision), &())
    };
    let revisions = [compile("1")?, compile("2")?];
    let outs = revisions[0].outs().iter().map(|out| destination(customer, out)).collect();
    Ok(Entry { customer, name, intake: intake(&template["in"]), outs, revisions })
}

fn destination(customer: &str, out: &flow::compile::Target) -> String {
    match (out.publish(), out.spec.file()) {
        (Some(publish), _) => format!("nats:{}", publish.subject),
        (None, Some(path)) => format!("disk/{customer}/{path}"),
        (None, None) => place_of(&*out.spec),
    }
}

fn intake(input: &Value) -> Intake {
    let text = |pointer| input.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (input.pointer("/http/path"), input.pointer("/nats/mode")) {
        (Some(_), _) => Intake::Http(text("/http/path")),
        (None, Some(_)) => Intake::Stream(text("/nats/subject")),
        (None, None) => Intake::Core(text("/nats/subject")),
    }
}
