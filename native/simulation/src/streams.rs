//! The streams of a simulation: those of a deployment, and the users'.

use std::collections::BTreeMap;

use model::Server;
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, Intake, STREAMS};

/// The server's limits in one simulation.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Messages under one subject of a lane.
    pub lane: u64,
}

/// Makes all streams and consumers that are not there.
pub fn provision(server: &mut Server, catalogue: &Catalogue, caps: Caps) {
    let is_used = |stream: &flow::facts::Stream| {
        stream.lane.is_none_or(|lane| lane == 0) && stream.tier.is_none_or(|tier| tier == "t1000")
    };
    for stream in flow::facts::streams().into_iter().filter(is_used) {
        ours(server, &serde_json::to_value(stream).unwrap_or_default(), caps);
    }
    for (name, subjects) in STREAMS {
        create(server, &json!({"name": name, "subjects": [subjects], "retention": "limits"}));
    }
    for entry in &catalogue.entries {
        if let Intake::Stream(subject) = &entry.intake {
            let durable = subject.trim_start_matches("in.");
            consumer(server, "IN", durable, Some(subject));
        }
    }
}

fn ours(server: &mut Server, stream: &Value, caps: Caps) {
    let is_lane = !stream["lane"].is_null();
    let subjects: Vec<&Value> =
        std::iter::once(&stream["subject"]).chain(stream["more"].as_array().into_iter().flatten()).collect();
    let mut config = json!({
        "name": stream["name"],
        "subjects": subjects,
        "retention": if stream["work_queue"] == true { "workqueue" } else { "limits" },
        "allow_direct": !stream["max_age"].is_null(),
        "max_age": stream["max_age"].as_u64().unwrap_or(0) * 1_000_000_000,
    });
    if let Some(cap) = stream["cap"].as_u64() {
        config["max_msgs_per_subject"] = json!(if is_lane { caps.lane } else { cap });
        config["discard_new_per_subject"] = json!(true);
    }
    create(server, &config);
    if let (Some(name), Some(durable)) = (stream["name"].as_str(), stream["consumer"].as_str()) {
        consumer(server, name, durable, None);
    }
}

/// Lets a users' stream hold no more messages than this; `None`: as many as come.
pub fn limit(server: &mut Server, name: &str, messages: Option<u64>) {
    let Some((_, subjects)) = STREAMS.iter().find(|(of, _)| *of == name) else { return };
    let max_msgs = messages.map_or(json!(-1), |messages| json!(messages));
    let config = json!({"name": name, "subjects": [subjects], "retention": "limits", "max_msgs": max_msgs});
    request(server, "UPDATE", &config);
}

fn create(server: &mut Server, config: &Value) {
    request(server, "CREATE", config);
}

/// What a stream has that is not said otherwise.
fn request(server: &mut Server, verb: &str, config: &Value) {
    let common = json!({"storage": "file", "discard": "new", "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
        "num_replicas": 1, "duplicate_window": 30_000_000_000_u64});
    let mut whole = common;
    if let (Some(whole), Some(config)) = (whole.as_object_mut(), config.as_object()) {
        whole.extend(config.clone());
    }
    let name = config["name"].as_str().unwrap_or_default();
    server.publish(&format!("$JS.API.STREAM.{verb}.{name}"), "", b"", whole.to_string().as_bytes());
}

fn consumer(server: &mut Server, stream: &str, durable: &str, filter: Option<&str>) {
    let mut config = json!({"durable_name": durable, "name": durable, "ack_policy": "explicit",
        "ack_wait": 10_000_000_000_u64, "max_deliver": -1, "max_ack_pending": -1});
    if let Some(filter) = filter {
        config["filter_subject"] = json!(filter);
    }
    let request = json!({"stream_name": stream, "config": config}).to_string();
    let tail = filter.map(|filter| format!(".{filter}")).unwrap_or_default();
    server.publish(&format!("$JS.API.CONSUMER.CREATE.{stream}.{durable}{tail}"), "", b"", request.as_bytes());
}

/// What has not come to its end: how many messages wait under each subject of a stream that should be empty, and at each
/// consumer. `serves`: whether a pipeline is served, by customer and name; what waits for another one may.
#[must_use]
pub fn waiting(server: &Server, serves: impl Fn(&str, &str) -> bool, durables: &[&str]) -> BTreeMap<String, usize> {
    let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
    for name in server.streams() {
        if !name.starts_with("VRSKY_") || matches!(name, "VRSKY_DEAD" | "VRSKY_KEYS" | "VRSKY_REDRIVE") {
            continue;
        }
        let tokens = if name == "VRSKY_PARKED" { 2 } else { 4 };
        let is_served = |subject: &str| {
            let mut parts = subject.split('.').skip(tokens);
            parts.next().zip(parts.next()).is_some_and(|(customer, pipeline)| serves(customer, pipeline))
        };
        for message in server.messages(name).filter(|message| name != "VRSKY_PARKED" || is_served(&message.subject)) {
            *waiting.entry(message.subject.clone()).or_default() += 1;
        }
    }
    for durable in durables {
        let Some(state) = server.consumer_state("IN", durable) else { continue };
        let count = state.pending.len() + usize::try_from(state.num_pending).unwrap_or(0);
        if count > 0 {
            waiting.insert(format!("IN/{durable}"), count);
        }
    }
    waiting
}
