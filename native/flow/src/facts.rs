//! Facts that other languages need: names, numbers and defaults, each taken from the place that defines it.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::engine::subjects::{self, Lane, LaneType, TIERS};
use crate::engine::{MAX_LANES, MAX_THREADS, Metric, NodeType, PULL_BATCH, PULL_EXPIRES_SECONDS, Settings, Topology};
use crate::model::{self, SINGLE_OUT, specs};

/// How long a consumer waits for an ack before it sends a message again.
pub const ACK_WAIT: Duration = Duration::from_secs(10);

/// How long a stream remembers the id of a message. Longer than [`ACK_WAIT`] plus the retries of a publish, or a
/// repeated publish would count as new.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(30);

/// The most messages of one out that may be parked: ten times what the largest tier holds.
pub const PARKED_CAP: u64 = 100_000;

/// For so long an `Idempotency-Key` stands for the body that came with it first.
pub const KEY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The most memory that the lookup tables of all pipelines of a customer may take together, bytes.
pub const MAX_CUSTOMER_TABLE_BYTES: usize = 64 << 20;

/// A stream that a deployment needs, with its durable consumer.
#[derive(Debug, Serialize)]
pub struct Stream {
    name: String,
    subject: String,
    /// Further subjects.
    more: Vec<String>,
    work_queue: bool,
    /// The most messages that a subject may hold.
    cap: Option<u64>,
    /// The durable consumer; the node makes those of `VRSKY_PARKED` itself.
    consumer: Option<&'static str>,
    /// Seconds after which a message goes by itself.
    max_age: Option<u64>,
    /// Set for lanes only.
    pub tier: Option<&'static str>,
    pub lane: Option<u32>,
}

/// The lane of a customer in a deployment with so many of them.
#[must_use]
pub fn lane_of(customer: &str, lanes: u32) -> u32 {
    subjects::lane_of(customer, lanes)
}

/// A text as one token of a subject.
#[must_use]
pub fn token(text: &str) -> String {
    subjects::token(text)
}

/// Every fact, as the JSON object that Python reads.
#[must_use]
pub fn facts() -> Value {
    json!({
        "version": model::VERSION,
        "max_file_bytes": model::MAX_BYTES,
        "max_script_bytes": script::MAX_SOURCE_BYTES,
        "max_table_bytes": formats::table::MAX_BYTES,
        "max_customer_table_bytes": MAX_CUSTOMER_TABLE_BYTES,
        "kinds": {"in": kinds("in"), "out": kinds("out")},
        "single_out": SINGLE_OUT,
        "node_types": NodeType::ALL,
        "topologies": topologies(),
        "deciding_steps": model::Step::DECIDING,
        "serves_http": NodeType::Incoming,
        "serves_files": NodeType::Outgoing,
        "defaults": defaults(),
        "least_ceilings": model::Ceilings::least(),
        "max_threads": MAX_THREADS,
        "max_lanes": MAX_LANES,
        "tiers": TIERS.iter().map(|(name, cap)| ((*name).to_owned(), json!(cap))).collect::<Map<_, _>>(),
        "streams": streams(),
        "own_lanes": own_lanes(),
        "dead": {"stream": subjects::DEAD, "subject": subjects::dead("{customer}", "{pipeline}", "{step}")},
        "original": {"subject": subjects::original("{customer}", "{pipeline}", "{message}")},
        "parked": {"stream": subjects::PARKED},
        "aside": {"subject": subjects::aside("{customer}", "{pipeline}")},
        "keys": {"stream": subjects::KEYS},
        "tap": {
            "request": subjects::tap("{customer}", "{pipeline}"),
            "records": subjects::tapped("{customer}", "{pipeline}", "{token}"),
        },
        "ack_wait_seconds": ACK_WAIT.as_secs(),
        "pull_batch": PULL_BATCH,
        "pull_expires_seconds": PULL_EXPIRES_SECONDS,
        "duplicate_window_seconds": DUPLICATE_WINDOW.as_secs(),
        "counters": Metric::ALL.map(Metric::as_str),
        "counter_summaries": summaries(),
    })
}

/// The node types of each topology, and the lanes that they serve.
fn topologies() -> Value {
    let one = |topology: &Topology| {
        let types = topology.types();
        let lanes = types.iter().filter_map(|node_type| node_type.lane());
        let names = |lanes: Vec<LaneType>| lanes.into_iter().map(LaneType::as_str).collect::<Vec<_>>();
        let for_steps = lanes.clone().filter(|lane| lane.is_for_steps()).collect();
        json!({"name": topology, "node_types": types, "lanes": names(lanes.collect()), "step_lanes": names(for_steps)})
    };
    Topology::ALL.iter().map(one).collect()
}

/// What each counter counts, in their order.
fn summaries() -> Value {
    Metric::ALL.iter().map(|metric| (metric.as_str().to_owned(), Value::from(metric.summary()))).collect()
}

/// The kinds of connectors. Those of outs cannot be names of outs.
fn kinds(direction: &str) -> Vec<String> {
    specs().into_iter().filter(|spec| spec.direction == direction).map(|spec| spec.kind).collect()
}

/// What a node's settings are where its host names none.
fn defaults() -> Value {
    let least = json!({"nats": {"url": "nats://127.0.0.1"}, "files": "."});
    serde_json::from_value::<Settings>(least).map_or(Value::Null, |settings| {
        json!({
            "topology": settings.topology,
            "types": settings.topology.types(),
            "threads": settings.threads,
            "lanes": settings.lanes,
            "park_after": settings.park_after,
            "allow_loopback": settings.allow_loopback,
            "absolute_files": settings.absolute_files,
            "ceilings": settings.ceilings,
        })
    })
}

/// The streams of a deployment with all tiers and the most lanes.
#[must_use]
pub fn streams() -> Vec<Stream> {
    let types = NodeType::ALL.into_iter().filter_map(NodeType::lane);
    let tiers = types.flat_map(|lane_type| TIERS.iter().map(move |tier| (lane_type, tier)));
    let lanes =
        tiers.flat_map(|(lane_type, (tier, cap))| (0..MAX_LANES).map(move |lane| of(lane_type, tier, *cap, lane)));
    let originals = vec![everything(&subjects::original("", "", ""))];
    let dead = Stream { work_queue: false, more: originals, ..shared(subjects::DEAD, &subjects::dead("", "", "")) };
    let parked = Stream { cap: Some(PARKED_CAP), ..shared(subjects::PARKED, &subjects::parked("", "", "")) };
    let record = shared(subjects::KEYS, &subjects::key("", ""));
    let keys = Stream { work_queue: false, cap: Some(1), max_age: Some(KEY_WINDOW.as_secs()), ..record };
    lanes.chain([dead, parked, keys]).collect()
}

fn of(lane_type: LaneType, tier: &'static str, cap: u64, lane: u32) -> Stream {
    Stream {
        name: subjects::stream(lane_type, tier, &Lane::Shared(lane)),
        subject: everything(&subjects::subject(lane_type, tier, &Lane::Shared(lane), "", "", "")),
        more: Vec::new(),
        work_queue: true,
        cap: Some(cap),
        consumer: Some(lane_type.as_str()),
        max_age: None,
        tier: Some(tier),
        lane: Some(lane),
    }
}

/// The lanes of a customer of its own, with the places `{CUSTOMER}`, in upper case, and `{customer}`.
#[must_use]
pub fn own_lanes() -> Vec<Stream> {
    let own = |one: Stream, lane_type: LaneType| {
        let (tier, lane) = (one.tier.unwrap_or_default(), Lane::Own("{customer}".into()));
        let subject = everything(&subjects::subject(lane_type, tier, &lane, "{customer}", "", ""));
        Stream { name: subjects::stream(lane_type, tier, &lane), subject, lane: None, ..one }
    };
    let types = NodeType::ALL.into_iter().filter_map(NodeType::lane);
    types.flat_map(|lane_type| TIERS.map(|(tier, cap)| own(of(lane_type, tier, cap, 0), lane_type))).collect()
}

/// A stream that all lanes share.
fn shared(name: &str, subject: &str) -> Stream {
    let subject = everything(subject);
    Stream {
        name: name.to_owned(),
        subject,
        more: Vec::new(),
        work_queue: true,
        cap: None,
        consumer: None,
        max_age: None,
        tier: None,
        lane: None,
    }
}

/// The subject without its empty tokens, and with all subjects below it.
fn everything(subject: &str) -> String {
    format!("{}.>", subject.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_of_one_customer_is_a_stream_of_the_same_sort() {
        let lane = serde_json::to_value(&own_lanes()[0]).unwrap();
        let expected = json!({"name": "VRSKY_LOGIC_T1000_OWN_{CUSTOMER}", "subject": "vrsky.logic.t1000.own.{customer}.>",
            "more": [], "work_queue": true, "cap": 1000, "consumer": "logic", "max_age": null, "tier": "t1000",
            "lane": null});
        assert_eq!(lane, expected);
        assert_eq!(own_lanes().len(), 4 * 2);
    }

    #[test]
    fn a_lane_is_a_stream_with_a_durable_and_the_shared_streams_come_last() {
        let streams = streams();
        assert_eq!(streams.len(), 4 * 2 * MAX_LANES as usize + 3);
        let lane = serde_json::to_value(&streams[1]).unwrap();
        let expected = json!({"name": "VRSKY_LOGIC_T1000_1", "subject": "vrsky.logic.t1000.1.>", "more": [],
            "work_queue": true,
            "cap": 1000, "consumer": "logic", "max_age": null, "tier": "t1000", "lane": 1});
        assert_eq!(lane, expected);
        let subjects: Vec<&str> = streams.iter().rev().take(3).map(|stream| &*stream.subject).collect();
        assert_eq!(subjects, ["vrsky.key.>", "vrsky.parked.>", "vrsky.dead.>"]);
    }

    #[test]
    fn defaults_are_those_that_a_node_takes() {
        let defaults = defaults();
        assert_eq!(defaults["types"], json!(["incoming", "logic", "outgoing"]));
        assert_eq!((&defaults["threads"], &defaults["allow_loopback"]), (&json!(1), &json!(false)));
    }

    #[test]
    fn kinds_are_the_models() {
        assert!(["http", "nats"].iter().all(|kind| kinds("in").contains(&(*kind).to_owned())));
        assert!(kinds("out").contains(&"stdout".to_owned()));
        assert_eq!(facts()["dead"]["subject"], "vrsky.dead.{customer}.{pipeline}.{step}");
    }
}
