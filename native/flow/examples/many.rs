//! A node with thousands of small pipelines: how long it takes to start, and what it costs when nothing happens.
//!
//! `many SETTINGS.json COUNT KIND [later]`; KIND: `http`, `stream` or `core`; `later` installs after the start.
//! Pipelines `stream` read the stream `IN` by the durables `p0`, `p1` and so on.

#![allow(clippy::disallowed_methods, reason = "no shard runs on this thread")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow::compile::Pipeline;
use flow::engine::{Node, Secrets};
use serde_json::{Value, json};

/// For so long nothing happens.
const IDLE: Duration = Duration::from_secs(40);
/// Between two looks at what has changed, as `vrsky run` takes them.
const LOOK: Duration = Duration::from_millis(250);

fn file(kind: &str, number: usize) -> Value {
    let name = format!("p{number}");
    let nats_out = json!({"nats": {"subject": format!("out.{name}"), "mode": "jetstream"}});
    let (input, out) = match kind {
        "http" => (json!({"http": {"path": format!("/{name}")}}), json!({"stdout": {}})),
        "stream" => {
            let source = json!({"subject": format!("in.{name}"), "mode": "jetstream", "stream": "IN", "durable": name});
            (json!({"nats": source}), nats_out)
        }
        _ => (json!({"nats": {"subject": format!("core.{name}")}}), nats_out),
    };
    json!({"customer": "acme", "pipeline": name, "in": input, "steps": [{"filter": "n > 0"}], "out": out})
}

/// Processor time of this process, all threads.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let hundredths: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(hundredths * 10)
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (started, used) = (Instant::now(), processor());
    let done = work();
    println!(
        "{what}: {:.2} s, {:.2} s of processor time",
        started.elapsed().as_secs_f64(),
        (processor() - used).as_secs_f64()
    );
    done
}

fn install_all(node: &Node, pipelines: &[Arc<Pipeline>]) -> Result<(), message::Fault> {
    pipelines.iter().try_for_each(|one| node.install(Arc::clone(one), Secrets::default()))
}

fn idle(node: &Node) {
    let (started, used) = (Instant::now(), processor());
    while started.elapsed() < IDLE {
        std::thread::sleep(LOOK);
        // As `vrsky run` does, which shows them.
        let _ = (node.changes(), node.events());
    }
    let share = (processor() - used).as_secs_f64() / started.elapsed().as_secs_f64();
    println!("idle: {:.1} % of a core", share * 100.0);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [settings, count, kind, when @ ..] = &*arguments else { return Err("SETTINGS COUNT KIND [later]".into()) };
    let node = Node::new(serde_json::from_str(&std::fs::read_to_string(settings)?)?)?;
    let files: Vec<String> = (0..count.parse()?).map(|number| file(kind, number).to_string()).collect();
    let compile = || files.iter().map(|file| Pipeline::from_json(file, &())).collect::<Result<Vec<_>, _>>();
    let pipelines = timed("compile", compile).map_err(|faults| format!("{faults:?}"))?;
    if when.is_empty() {
        timed("install", || install_all(&node, &pipelines))?;
        timed("start", || node.start())?;
    } else {
        timed("start", || node.start())?;
        timed("install", || install_all(&node, &pipelines))?;
    }
    timed("10 s after it", || std::thread::sleep(Duration::from_secs(10)));
    println!("first look: {} pipelines", node.changes().changed.len());
    idle(&node);
    timed("remove", || (0..files.len()).all(|number| node.remove("acme", &format!("p{number}"))));
    println!("drained: {}", node.drain(Duration::from_secs(5)));
    Ok(())
}
