//! What a host needs to know of a pipeline that it installs, without reading the model itself.

use serde::Serialize;
use serde_json::Value;

use crate::compile::{HttpAuth, Input, OutKind, Pipeline, Target};
use crate::engine::subjects::tier_for;
use crate::model::{NatsMode, Out};

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
    /// The names of all secrets, sorted.
    pub secrets: Vec<&'p str>,
    #[serde(rename = "in")]
    pub input: Connector<'p>,
    pub outs: Vec<Connector<'p>>,
}

/// One in or out.
#[derive(Debug, Default, Serialize)]
pub struct Connector<'p> {
    /// Of an out; `default` where the file names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'p str>,
    pub kind: String,
    /// Of the kind in the file, such as `/out/erp/http`.
    pub pointer: String,
    /// As the canonical file has them.
    pub options: Value,
    pub secrets: Vec<&'p str>,
    /// Where clients post to, such as `/in/acme/orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the address may be served on loopback only.
    pub loopback_only: bool,
    /// What it needs of the NATS server, where that is more than a subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStream<'p>>,
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
    let outs = pipeline.file().out.list().into_iter().zip(pipeline.outs());
    Summary {
        customer: pipeline.customer(),
        pipeline: pipeline.name(),
        revision: pipeline.revision(),
        tier: tier_for(pipeline.backlog()).0,
        steps: (0..pipeline.stage_count()).map(|stage| pipeline.stage_label(stage)).collect(),
        secrets: pipeline.secret_names(),
        input: in_summary(pipeline),
        outs: outs.map(|((name, model, pointer), target)| out_summary(name, model, &pointer, target)).collect(),
    }
}

fn in_summary(pipeline: &Pipeline) -> Connector<'_> {
    let (kind, options) = tagged(&pipeline.file().input);
    let (pointer, secrets) = (format!("/in/{kind}"), pipeline.input().secrets());
    let base = Connector { kind, pointer, options, secrets, ..Connector::default() };
    match pipeline.input() {
        Input::Http(http) => Connector {
            address: Some(format!("/in/{}{}", pipeline.customer(), http.path)),
            loopback_only: http.auth == HttpAuth::LoopbackOnly,
            ..base
        },
        Input::Nats { mode: NatsMode::Core, .. } => base,
        Input::Nats { subject, stream, durable, .. } => {
            Connector { jetstream: Some(JetStream { subject, stream: Some(stream), durable: Some(durable) }), ..base }
        }
    }
}

fn out_summary<'p>(name: &'p str, model: &Out, pointer: &str, target: &'p Target) -> Connector<'p> {
    let (kind, options) = tagged(model);
    let (pointer, secrets) = (format!("{pointer}/{kind}"), target.secrets());
    let jetstream = match &target.kind {
        OutKind::Nats { subject, mode: NatsMode::Jetstream, stream } => {
            Some(JetStream { subject, stream: stream.as_deref(), durable: None })
        }
        _ => None,
    };
    Connector { name: Some(name), kind, pointer, options, secrets, jetstream, ..Connector::default() }
}

/// A connector of the model as its kind and its options.
fn tagged(connector: &impl Serialize) -> (String, Value) {
    match serde_json::to_value(connector) {
        Ok(Value::Object(map)) => map.into_iter().next().unwrap_or_default(),
        _ => Default::default(),
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
