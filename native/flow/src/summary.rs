//! What a host needs to know of a pipeline that it installs, without reading the model itself.

pub use connectors::file::source::patterns_meet;
use connectors::http::source::HttpInput;
use connectors::kind::{Attach, Claim, ClaimedFiles};
use connectors::nats::NatsMode;
use serde::Serialize;
use serde_json::Value;

use crate::compile::{Pipeline, Target};
use crate::engine::subjects::tier_for;

/// A pipeline for its host.
#[derive(Debug, Serialize)]
pub struct Summary<'p> {
    pub customer: &'p str,
    pub pipeline: &'p str,
    pub revision: &'p str,
    /// The class of streams that its messages wait in.
    pub tier: &'static str,
    /// Labels of the steps, such as `1:filter`.
    pub steps: Vec<&'p str>,
    /// Bytes of memory that its lookup tables take, about.
    pub table_bytes: usize,
    /// The names of all secrets, sorted.
    pub secrets: Vec<&'p str>,
    #[serde(rename = "in")]
    pub input: Connector<'p>,
    pub outs: Vec<Connector<'p>>,
}

/// One in or out.
#[derive(Debug, Serialize)]
pub struct Connector<'p> {
    /// Of an out; `default` where the file names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'p str>,
    pub kind: &'p str,
    /// Where its messages come from or go to, as people would look for it.
    #[serde(rename = "where")]
    pub place: String,
    /// The file that an out writes, below its customer's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'p str>,
    /// Of the kind in the file, such as `/out/erp/http`.
    pub pointer: String,
    /// As the canonical file has them.
    pub options: &'p Value,
    pub secrets: Vec<&'p str>,
    /// Where clients post to, such as `/in/acme/orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'p str>,
    /// Whether what comes in is lost with the node that took it.
    pub at_most_once: bool,
    /// Whether the address may be served on loopback only.
    pub loopback_only: bool,
    /// What serves it: the node's HTTP `listener`, its connection to `nats`, or something of its own.
    pub through: Through,
    /// Of an in: whether one node alone may read it.
    pub exclusive: bool,
    /// What no other pipeline of a node may have as well, such as `the address /in/acme/orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<PlacedClaim>,
    /// What it needs of the NATS server, where that is more than a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStream<'p>>,
}

/// What one pipeline of a node has alone, and where its file says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlacedClaim {
    pub what: String,
    pub pointer: String,
    #[serde(flatten)]
    pub files: Option<ClaimedFiles>,
}

/// How a connector is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    Listener,
    Nats,
    Itself,
}

/// A stream of the user's: an in reads it, an out publishes to it.
#[derive(Debug, Serialize)]
pub struct JetStream<'p> {
    pub subject: &'p str,
    /// `None`: whichever stream has the subject.
    pub stream: Option<&'p str>,
    /// The consumer that an in reads with.
    pub durable: Option<&'p str>,
}

#[must_use]
pub fn summary(pipeline: &Pipeline) -> Summary<'_> {
    Summary {
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        tier: tier_for(pipeline.backlog()).0,
        steps: (0..pipeline.stage_count()).map(|stage| pipeline.stage_label(stage)).collect(),
        table_bytes: pipeline.table_memory(),
        secrets: pipeline.secret_names(),
        input: in_summary(pipeline),
        outs: pipeline
            .file()
            .out
            .list()
            .iter()
            .zip(pipeline.outs())
            .map(|((_, out, _), target)| out_summary(&out.connector().options, target))
            .collect(),
    }
}

fn in_summary(pipeline: &Pipeline) -> Connector<'_> {
    let (input, connector) = (pipeline.input(), pipeline.file().input.connector());
    let (http, subscription) = (pipeline.http(), pipeline.subscription());
    Connector {
        name: None,
        kind: &connector.kind,
        place: input.describe(),
        file: None,
        pointer: format!("/in/{}", connector.kind),
        options: &connector.options,
        secrets: input.secrets(),
        address: http.map(|http| http.address.as_str()),
        loopback_only: http.is_some_and(HttpInput::is_loopback_only),
        at_most_once: subscription.is_some_and(|from| from.mode == NatsMode::Core),
        through: match input.attach() {
            Attach::Route(_) => Through::Listener,
            Attach::Subscription(_) => Through::Nats,
            Attach::Task(_) => Through::Itself,
        },
        exclusive: matches!(input.attach(), Attach::Task(task) if !task.is_shared()),
        claim: input.claim().map(|Claim { what, option, files }| PlacedClaim {
            what,
            pointer: format!("/in/{}/{option}", connector.kind),
            files,
        }),
        jetstream: subscription.filter(|from| from.mode == NatsMode::Jetstream).map(|from| JetStream {
            subject: &from.subject,
            stream: Some(&from.stream),
            durable: Some(&from.durable),
        }),
    }
}

fn out_summary<'p>(options: &'p Value, target: &'p Target) -> Connector<'p> {
    let publish = target.publish().filter(|publish| publish.mode == NatsMode::Jetstream);
    Connector {
        name: Some(&target.name),
        kind: &target.kind,
        place: target.spec.describe(),
        file: target.spec.file(),
        pointer: target.pointer.clone(),
        options,
        secrets: target.spec.secrets(),
        address: None,
        loopback_only: false,
        at_most_once: false,
        through: if target.publish().is_some() { Through::Nats } else { Through::Itself },
        exclusive: false,
        claim: None,
        jetstream: publish.map(|publish| JetStream {
            subject: &publish.subject,
            stream: publish.stream.as_deref(),
            durable: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary_of(input: &Value, out: &Value) -> Value {
        let steps = out.as_object().filter(|outs| outs.len() > 1).map(|outs| {
            let names: Vec<&String> = outs.keys().collect();
            json!([{"route": [{"to": names}]}])
        });
        let file = json!({"customer": "acme", "pipeline": "orders", "in": input, "out": out,
            "steps": steps.unwrap_or_else(|| json!([]))});
        let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
        serde_json::to_value(summary(&pipeline)).unwrap()
    }

    #[test]
    fn an_http_in_has_its_address_and_every_connector_its_secrets() {
        let auth = json!({"bearer": {"secret": "token"}});
        let outs = json!({
            "erp": {"http": {"url": "https://erp.example/", "auth": {"bearer": {"secret": "erp"}},
                "headers": {"X-Key": {"secret": "key"}}}},
            "lines": {"file": {"path": "lines.ndjson"}},
        });
        let found = summary_of(&json!({"http": {"path": "/orders", "auth": auth}}), &outs);
        assert_eq!((&found["tier"], &found["steps"]), (&json!("t1000"), &json!(["0:route"])));
        assert_eq!(found["secrets"], json!(["erp", "key", "token"]));
        assert_eq!((&found["in"]["kind"], &found["in"]["secrets"]), (&json!("http"), &json!(["token"])));
        assert_eq!(
            (&found["in"]["address"], &found["in"]["loopback_only"]),
            (&json!("/in/acme/orders"), &json!(false))
        );
        assert_eq!(found["outs"][0]["secrets"], json!(["key", "erp"]));
        assert_eq!(found["outs"][0]["options"]["url"], "https://erp.example/");
        assert_eq!(
            (&found["outs"][1]["kind"], &found["outs"][1]["pointer"]),
            (&json!("file"), &json!("/out/lines/file"))
        );
    }

    #[test]
    fn an_http_in_without_auth_is_for_loopback() {
        let found = summary_of(&json!({"http": {"path": "/orders"}}), &json!({"stdout": {}}));
        assert_eq!(found["in"]["loopback_only"], true);
        assert_eq!(
            (&found["outs"][0]["name"], &found["outs"][0]["pointer"]),
            (&json!("default"), &json!("/out/stdout"))
        );
    }

    #[test]
    fn what_is_needed_of_jetstream_is_named() {
        let input = json!({"nats": {"subject": "in.x", "mode": "jetstream", "stream": "IN"}});
        let found = summary_of(&input, &json!({"nats": {"subject": "out.x", "mode": "jetstream"}}));
        let durable = json!({"subject": "in.x", "stream": "IN", "durable": "vrsky_acme_orders"});
        assert_eq!(found["in"]["jetstream"], durable);
        assert_eq!(found["outs"][0]["jetstream"], json!({"subject": "out.x", "stream": null, "durable": null}));
        let found = summary_of(&json!({"nats": {"subject": "in.x"}}), &json!({"nats": {"subject": "out.x"}}));
        assert_eq!((found["in"].get("jetstream"), found["outs"][0].get("jetstream")), (None, None));
    }
}
