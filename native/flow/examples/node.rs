//! A node without Python, for profiling: `node SETTINGS.json PIPELINE.json...`; ends with its input.

use std::io::Read;
use std::time::Duration;

use flow::compile::Pipeline;
use flow::engine::{Node, Secrets};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = std::env::args().skip(1);
    let settings = std::fs::read_to_string(paths.next().ok_or("no settings named")?)?;
    let node = Node::new(serde_json::from_str(&settings)?)?;
    for path in paths {
        let json = std::fs::read_to_string(&path)?;
        let pipeline = Pipeline::from_json(&json, &()).map_err(|faults| format!("{path}: {faults:?}"))?;
        node.install(pipeline, Secrets::default())?;
    }
    node.start()?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("{}", serde_json::to_string(&node.stats())?);
    println!("drained: {}", node.drain(Duration::from_secs(5)));
    Ok(())
}
