//! What was written reads back; what was damaged is refused, or gives a message that can be emitted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use message::{Code, Document, Fault, Limits, PartsCheck};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use script::{Engines, Keep, Language, Level, Line, MAX_LINES, Program, Said, Task, TaskContext, TaskOwner, compile};

use super::reply::{Replies, put_frame};
use super::request::{Item, Request, put_limits, put_task};

const JSON: &str = r#"{"id":"ä\n1","n":12345678901234567890,"list":[1,{"x":[true,null]}],"o":{"p":{"q":"r"}}}"#;

const SCRIPTS: [&str; 7] = [
    "export default msg => { console.error('said', msg); return msg.list }",
    "export default msg => msg",
    "export default msg => null",
    "export default msg => ({ ...msg, more: ['text', 1.5, msg.o] })",
    "export default msg => [msg, msg.o, msg.list, msg, 'text']",
    "export default msg => { msg.o.p.q = msg.list; return msg }",
    "export default msg => msg.nothing.at.all",
];

fn document() -> Document {
    let mut document = Document::default();
    formats::json::parse(JSON.as_bytes(), &Limits::default(), &mut document).unwrap();
    document
}

fn emitted(document: &Document, roots: &[u32]) -> Vec<String> {
    let mut document = document.clone();
    let text = |root: &u32| {
        document.set_root(*root);
        let mut text = Vec::new();
        formats::json::emit(&document, &mut text);
        String::from_utf8(text).unwrap()
    };
    roots.iter().map(text).collect()
}

/// The frame of a script's result, and the result.
type Framed = (Vec<u8>, Result<Vec<String>, Fault>);

fn frame(program: &Program) -> Framed {
    let mut engines = Engines::new(Keep::default());
    let (mut document, before) = (document(), document().extent());
    let limits = Limits { script_cpu_ms: 1_000, ..Limits::default() };
    let outcome = engines.run(program, &mut document, &TaskContext::default(), &limits);
    let mut bytes = Vec::new();
    put_frame(&mut bytes, 0, (Duration::from_micros(7), &engines.take_said()), &document, before, &outcome);
    (bytes, outcome.map(|roots| emitted(&document, &roots)))
}

fn frames() -> Vec<Framed> {
    SCRIPTS.iter().map(|script| frame(&compile(script, Language::JavaScript, "t.js").unwrap())).collect()
}

/// Reads a frame that comes in two parts, as a host does.
fn read(bytes: &[u8], cut: usize) -> Result<Option<(Document, super::reply::Reply)>, super::Damaged> {
    let (mut replies, mut document, mut check) = (Replies::default(), document(), PartsCheck::default());
    let limits = Limits::default();
    let (first, rest) = bytes.split_at(cut.min(bytes.len()));
    for part in [first, rest] {
        replies.bytes_mut().extend_from_slice(part);
        if let Some(reply) = replies.next_reply(0, &mut document, &limits, &mut check)? {
            return Ok(Some((document, reply)));
        }
    }
    Ok(None)
}

#[test]
fn what_a_script_has_said_reads_back() {
    let script = "export default msg => {\n  console.warn('é', msg.o);\n  for (let i = 0; i < 30; i++) console.log(i)\n  return msg }";
    let (bytes, _) = frame(&compile(script, Language::JavaScript, "t.js").unwrap());
    let (_, reply) = read(&bytes, 0).unwrap().unwrap();
    let first = Line { level: Level::Warn, text: "é {p: {q: \"r\"}}".into(), line: Some(2) };
    assert_eq!((reply.said.lines.len(), reply.said.left_out), (MAX_LINES, 11));
    assert_eq!(reply.said.lines[0], first);
    assert_eq!(reply.said.lines[1], Line { level: Level::Log, text: "0".into(), line: Some(3) });
}

#[test]
fn results_read_back_wherever_they_are_cut() {
    for (bytes, expected) in frames() {
        for cut in 0..=bytes.len() {
            let (document, reply) = read(&bytes, cut).unwrap().unwrap();
            assert_eq!(reply.outcome.map(|roots| emitted(&document, &roots)), expected);
            assert_eq!(reply.used, Duration::from_micros(7));
        }
    }
}

#[test]
fn a_task_reads_back() {
    let owner = Arc::new(TaskOwner { customer: "acme".into(), ..TaskOwner::default() });
    let context = TaskContext {
        id: "id 1".into(),
        owner: Arc::clone(&owner),
        time_ms: 1_700_000_000_123,
        headers: (*b"NATS/1.0\r\nA: b\r\n\r\n").into(),
        seed: u64::MAX,
    };
    let program = compile(SCRIPTS[0], Language::JavaScript, "t.js").unwrap();
    let limits = Limits { bytes: 1, depth: 2, nodes: 3, fuel: 4, script_stack_kb: 5, ..Limits::default() };
    let task =
        Task { token: 1, program: program.id(), document: document(), context, limits: Arc::new(limits.clone()) };
    let mut bytes = Vec::new();
    put_limits(&mut bytes, &task.limits);
    put_task(&mut bytes, 7, 8, &task);
    let (mut request, mut document) = (Request::new(&bytes), Document::default());
    assert!(matches!(request.next_item().unwrap(), Some(Item::Limits(read)) if read == limits));
    let Some(Item::Task(head)) = request.next_item().unwrap() else { panic!("a task") };
    request.read_document(&mut document).unwrap();
    let context = head.context(&owner);
    assert_eq!((head.program, head.owner, &*context.id, context.seed), (7, 8, "id 1", u64::MAX));
    assert_eq!((context.time_ms, &context.headers), (task.context.time_ms, &task.context.headers));
    assert_eq!(emitted(&document, &[document.root_index()]), [JSON]);
    assert!(request.next_item().unwrap().is_none());
}

#[test]
fn a_fault_of_another_stage_is_none_of_a_worker() {
    let document = document();
    let put = |fault: Fault| {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, 0, (Duration::ZERO, &Said::default()), &document, document.extent(), &Err(fault));
        read(&bytes, 0)
    };
    assert!(put(Fault::new(Code::NatsDisconnected, "x")).is_err());
    let fault = Fault::new(Code::ScriptThrew, "a\u{1b}[31mb").in_file("t.js").at_line(3, 4).in_field("a.b");
    let (_, reply) = put(fault).unwrap().unwrap();
    assert_eq!(
        reply.outcome.unwrap_err().to_string(),
        "script/threw: a\u{fffd}[31mb (t.js, field a.b, line 3, column 4)"
    );
}

/// Damages frames at random, for `FUZZ_SECONDS` (one second when that is not set; `make fuzz` sets it), beginning with
/// `SEED`. The host never panics, and what it accepts has a bounded JSON form.
#[test]
fn damaged_replies_are_refused_or_harmless() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("FUZZ_SECONDS").unwrap_or(1);
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let seed = number("SEED").unwrap_or_else(clock);
    println!("SEED={seed}");
    let (frames, begun) = (frames(), Instant::now());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let (mut cases, mut accepted) = (0u64, 0u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut bytes = frames[random.next_u32() as usize % frames.len()].0.clone();
        for _ in 0..=random.next_u32() % 4 {
            let at = random.next_u32() as usize % bytes.len();
            bytes[at] = match random.next_u32() % 3 {
                0 => bytes[at].wrapping_add(1),
                1 => (random.next_u32() % 24) as u8,
                _ => random.next_u32() as u8,
            };
        }
        cases += 1;
        if let Ok(Some((document, reply))) = read(&bytes, 0)
            && let Ok(roots) = reply.outcome
        {
            accepted += 1;
            let texts = emitted_lossy(&document, &roots);
            assert!(texts < Limits::default().output_bytes + 100 * JSON.len(), "{bytes:?}");
        }
    }
    assert!(accepted > 0 && accepted < cases);
    println!("{cases} damaged replies, {accepted} accepted");
}

/// The length of all messages, which need not be right.
fn emitted_lossy(document: &Document, roots: &[u32]) -> usize {
    let mut document = document.clone();
    let length = |root: &u32| {
        document.set_root(*root);
        let mut text = Vec::new();
        formats::json::emit(&document, &mut text);
        let _ = format!("{:?}", document.root());
        document.push_copy(*root, false);
        text.len()
    };
    roots.iter().map(length).sum()
}

proptest! {
    #[test]
    fn bytes_that_nobody_wrote_are_no_reply(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        // Nobody panics; at random hardly any are a reply.
        let _ = read(&bytes, bytes.len() / 2);
    }

    #[test]
    fn bytes_that_nobody_wrote_are_no_request(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut request = Request::new(&bytes);
        while let Ok(Some(_)) = request.next_item() {}
    }
}
