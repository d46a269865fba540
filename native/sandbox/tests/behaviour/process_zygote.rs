//! Scripts in workers with every layer that a node can have: nothing that scripts need is taken from them.

use std::sync::Arc;

use message::{Code, Limits};
use sandbox::{Layer, LayerSet, ProcessOptions, Zygote};
use script::{Runner, Task};

use crate::layers_support::{Node, program as zygote};
use crate::process_support::{Bench, batch, body, context, document, task, texts, tokens};

/// An executor on a node of this kind.
fn bench(node: Node) -> Bench<Zygote> {
    let (folder, program) = zygote();
    let names: Vec<&str> = LayerSet::ALL.iter().map(Layer::name).collect();
    let names = names.join(",");
    let command = move || node.command(folder.path(), &[&program, &names, "scripts"]);
    Bench::with(Zygote::start(command, LayerSet::REQUIRED).unwrap(), ProcessOptions::default())
}

const SCRIPTS: &[&str] = &[
    "return { ...msg, total: msg.list.reduce((sum, item) => sum + item, 0) }",
    "return msg.list.sort(() => ctx.random() - 0.5).map(n => new Date(ctx.now + n).toISOString())",
    "return JSON.parse(JSON.stringify(msg)).text.match(/(\\w+)\\s(\\w+)/).slice()",
    "return 'x'.repeat(8 << 20).length + [...Array(1e5).keys()].length",
    "return new Map(Object.entries(msg)).size + new Float64Array(1e5).fill(1.5).length + Number(2n ** 200n)",
    "return msg.nothing.at.all",
    "function f() { f() } f()",
    "while (true) {}",
    "const a = []; while (true) a.push('x'.repeat(1 << 20) + a.length)",
];

#[test]
fn every_kind_of_node_runs_scripts_behind_all_its_layers() {
    for node in Node::ALL {
        let bench = bench(node);
        let json = r#"{"list":[3,1,2],"text":"hello world"}"#;
        for source in SCRIPTS {
            let program = bench.loaded(&body(source));
            let limits = Arc::new(Limits { script_cpu_ms: 200, ..Limits::default() });
            let reference = Runner::new().run(&program, document(json), &context("acme"), &limits);
            let done = bench.run(vec![Task { limits, ..task(&program, "acme", 0, json) }]);
            assert_eq!(texts(&done[0]), texts(&reference), "{node:?}: {source}");
        }
        let large = format!("[{}1]", "\"a text of some length\",".repeat(20_000));
        let all = bench.loaded("export default msg => ({ all: msg.map(item => [item, item]), msg })");
        let limits = Arc::new(Limits { script_cpu_ms: 10_000, script_memory_mb: 256, ..Limits::default() });
        let reference = Runner::new().run(&all, document(&large), &context("acme"), &limits);
        let done = bench.run(vec![Task { limits, ..task(&all, "acme", 0, &large) }]);
        assert_eq!(texts(&done[0]).unwrap(), texts(&reference).unwrap(), "{node:?}");
    }
}

#[test]
fn the_largest_message_with_the_smallest_values_crosses() {
    let bench = bench(Node::User);
    let limits = Limits { script_cpu_ms: 10_000, ..Limits::default() };
    let json = format!("[{}]", vec!["1"; limits.nodes - 10].join(","));
    let mut document = message::Document::default();
    formats::json::parse(json.as_bytes(), &limits, &mut document).unwrap();
    let given = |source: &str, script_memory_mb| {
        let program = bench.loaded(source);
        let document = document.clone();
        let limits = Arc::new(Limits { script_memory_mb, ..limits.clone() });
        let task = Task { document, limits, ..task(&program, "acme", 0, "1") };
        bench.run(vec![task]).remove(0)
    };
    let done = given("export default msg => ({ all: msg, length: msg.length })", 48);
    let expected = format!(r#"{{"all":{json},"length":999990}}"#);
    assert!(texts(&done).unwrap() == [expected], "too long to be shown");
    let done = given("export default msg => ({ all: msg.slice(2).map(n => n + 1) })", 128);
    let expected = format!(r#"{{"all":[{}]}}"#, vec!["2"; limits.nodes - 12].join(","));
    assert!(texts(&done).unwrap() == [expected], "too long to be shown");
}

#[test]
fn every_kind_of_node_kills_what_hangs() {
    for node in Node::ALL {
        let bench = bench(node);
        let hangs = "export default msg => \
                     msg.a === 2 ? Array.prototype.reverse.call({ length: 2 ** 53 - 1 }) : msg.a";
        let program = bench.loaded(hangs);
        let mut given = batch(&program, "mallory", 0..5);
        given.extend(batch(&program, "acme", 10..12));
        let done = bench.run(given);
        let (mine, others): (Vec<_>, Vec<_>) = done.into_iter().partition(|done| done.token < 10);
        assert_eq!((tokens(&mine), tokens(&others)), (vec![0, 1, 2, 3, 4], vec![10, 11]), "{node:?}");
        for one in mine.iter().chain(&others) {
            let code = one.outcome.as_ref().err().map(message::Fault::code);
            assert_eq!(code, (one.token == 2).then_some(Code::ScriptKilled), "{node:?}: {:?}", one.outcome);
        }
        assert!(bench.executor.workers() <= 2);
    }
}
