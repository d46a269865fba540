//! From the options of NATS to what the shard subscribes to and publishes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use serde_json::Value;

use super::options::{NatsIn, NatsMode, NatsOut};
use crate::contract::Sink;
use crate::kind::{
    Attach, Claim, Described, Host, PipelineContext, Policy, Route, Secrets, SinkKind, SinkSpec, SourceKind,
    SourceSpec, typed,
};

pub struct NatsSourceKind;
pub struct NatsSinkKind;

/// What an in reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub subject: String,
    pub mode: NatsMode,
    /// The user's stream; empty in core mode.
    pub stream: String,
    /// The durable consumer on it.
    pub durable: String,
}

/// What an out publishes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    pub subject: String,
    pub mode: NatsMode,
    /// The stream that has to take the message, when one is named.
    pub stream: Option<String>,
}

impl Described for NatsSourceKind {
    type Options = NatsIn;
    const NAME: &'static str = "nats";
    const SUMMARY: &'static str = "A subject of the NATS server.";
    const EXAMPLE: &'static str = include_str!("example_in.yaml");
    const CHECKED: &'static str =
        "With `--nats`: that the stream has the subject, and that no other pipeline reads by the durable.";
}

impl SourceKind for NatsSourceKind {
    fn compile(&self, options: &Value, pipeline: &PipelineContext<'_>) -> Result<Arc<dyn SourceSpec>, Vec<Fault>> {
        let NatsIn { subject, mode, stream, durable } = typed(options)?;
        let faults = match (mode, &stream) {
            (NatsMode::Core, _) => {
                let given = [("stream", stream.is_some()), ("durable", durable.is_some())];
                given.into_iter().filter(|(_, is_given)| *is_given).map(|(key, _)| belongs_to_jetstream(key)).collect()
            }
            (NatsMode::Jetstream, None) => {
                let reason = "`mode: jetstream` wants the `stream` to read from";
                vec![Fault::new(Code::ConfigMissingKey, reason).at_pointer("")]
            }
            (NatsMode::Jetstream, Some(_)) => Vec::new(),
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        // No name holds an underscore, and no file may name a durable that begins so.
        let durable = durable.unwrap_or_else(|| format!("vrsky_{}_{}", pipeline.customer, pipeline.pipeline));
        Ok(Arc::new(Subscription { subject, mode, stream: stream.unwrap_or_default(), durable }))
    }
}

impl SourceSpec for Subscription {
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn describe(&self) -> String {
        match self.mode {
            NatsMode::Core => format!("NATS {}", self.subject),
            NatsMode::Jetstream => format!("NATS {} of stream {}", self.subject, self.stream),
        }
    }

    fn attach(&self) -> Attach<'_> {
        Attach::Subscription(self)
    }

    fn check(&self, _: &dyn Secrets) -> Result<(), Fault> {
        Ok(())
    }

    /// Two pipelines on one durable consumer would each get a part of the other's messages.
    fn claim(&self) -> Option<Claim> {
        let what = format!("the durable {} of the stream {}", self.durable, self.stream);
        (self.mode == NatsMode::Jetstream).then_some(Claim { what, option: "durable", files: None })
    }
}

impl Described for NatsSinkKind {
    type Options = NatsOut;
    const NAME: &'static str = "nats";
    const SUMMARY: &'static str = "A subject of the NATS server.";
    const EXAMPLE: &'static str = include_str!("example_out.yaml");
    const CHECKED: &'static str =
        "With `--nats` and `mode: jetstream`: that a stream has the subject, the named one if one is named.";
}

impl SinkKind for NatsSinkKind {
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
        let NatsOut { subject, mode, stream } = typed(options)?;
        if mode == NatsMode::Core && stream.is_some() {
            return Err(vec![belongs_to_jetstream("stream")]);
        }
        Ok(Arc::new(Publish { subject, mode, stream }))
    }
}

impl SinkSpec for Publish {
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn describe(&self) -> String {
        format!("NATS {}", self.subject)
    }

    fn route(&self) -> Route<'_> {
        Route::Publish(self)
    }

    /// Of no meaning: the shard publishes.
    fn policy(&self) -> Policy {
        Policy { batch: 1, workers: 1, retry_for: Duration::ZERO, timeout: Duration::ZERO }
    }

    fn check(&self, _: &dyn Secrets, _: &Host<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn open(&self, _: &dyn Secrets, _: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        Err(Fault::new(Code::InternalPanic, "a NATS out has no sink"))
    }
}

fn belongs_to_jetstream(key: &str) -> Fault {
    let reason = format!("`{key}` belongs to `mode: jetstream`");
    Fault::new(Code::ConfigInvalidValue, reason).at_pointer(format!("/{key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Reads;

    const PIPELINE: PipelineContext<'_> =
        PipelineContext { customer: "acme", pipeline: "orders", max_bytes: 1 << 20, reads: Reads::Any };

    #[test]
    fn a_durable_without_a_name_has_that_of_its_pipeline() {
        let options = json!({"subject": "in.x", "mode": "jetstream", "stream": "IN"});
        let spec = NatsSourceKind.compile(&options, &PIPELINE).unwrap();
        let Attach::Subscription(subscription) = spec.attach() else { panic!() };
        assert_eq!((&*subscription.stream, &*subscription.durable), ("IN", "vrsky_acme_orders"));
        assert_eq!(spec.describe(), "NATS in.x of stream IN");
    }

    #[test]
    fn streams_and_consumers_belong_to_jetstream() {
        let refused = |options: Value| {
            let faults = NatsSourceKind.compile(&options, &PIPELINE).unwrap_err();
            faults.iter().map(|fault| fault.place().pointer.clone().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(refused(json!({"subject": "a", "stream": "S", "durable": "d"})), ["/stream", "/durable"]);
        assert_eq!(refused(json!({"subject": "a", "mode": "jetstream"})), [""]);
        let faults = NatsSinkKind.compile(&json!({"subject": "a", "stream": "S"})).unwrap_err();
        assert_eq!(faults[0].place().pointer.as_deref(), Some("/stream"));
    }
}
