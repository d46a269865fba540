//! From an HTTP request to a stored message: the answer is given when the PubAck is there.

use std::rc::Rc;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use connectors::{ConnectorError, Incoming, Settled, Source as _};
use message::{Code, Fault};

use super::core::Core;
use super::headers;
use super::ids::MessageId;
use super::ledger::{Origin, Outcome};
use super::metrics::Metric;
use super::publish::Parent;
use super::shard::Shard;

const MOST_MESSAGES: usize = 256;
const MOST_BYTES: usize = 4 << 20;

/// Reads batches until the source ends.
pub async fn run(shard: Rc<Shard>, source: Rc<connectors::http::source::HttpSource>) {
    loop {
        match source.read_batch(MOST_MESSAGES, MOST_BYTES, Duration::from_secs(60)).await {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => shard.incoming(batch),
            Err(ConnectorError::EndOfInput) => return,
            Err(ConnectorError::BackOff(pause)) => tokio::time::sleep(pause).await,
            Err(ConnectorError::NotConnected) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Core {
    /// One batch of requests: checked, published, and entered in the ledger.
    pub fn on_incoming(&mut self, batch: Vec<Incoming>, out: &mut Vec<u8>) {
        let now = Instant::now();
        for incoming in batch {
            if let Err((fault, after)) = self.admit(&incoming, now) {
                self.refuse(&incoming, fault, after);
                continue;
            }
            self.store(&incoming, out);
        }
    }

    fn admit(&mut self, incoming: &Incoming, now: Instant) -> Result<(), (Fault, Duration)> {
        let second = Duration::from_secs(1);
        let Some(installed) = self.bindings.get(incoming.binding as usize) else {
            return Err((Fault::new(Code::HttpNotFound, "the pipeline is gone"), second));
        };
        if !self.connected {
            return Err((Fault::new(Code::NatsDisconnected, "the NATS server is away"), second));
        }
        if installed.backlog_full.get() {
            let reason = format!("{} messages wait", installed.pipeline.backlog());
            return Err((Fault::new(Code::LimitBacklog, reason), second));
        }
        match &installed.bucket {
            None => Ok(()),
            Some(bucket) => bucket
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(1, now)
                .map_err(|after| (Fault::new(Code::LimitRate, "the pipeline's `limits.rate` is used up"), after)),
        }
    }

    fn refuse(&self, incoming: &Incoming, fault: Fault, after: Duration) {
        if let Some(installed) = self.bindings.get(incoming.binding as usize) {
            installed.counters.add(Metric::Refused, 1);
        }
        if let Some(source) = &self.source {
            source.settle(incoming.item, Settled::Refused { fault, retry_after: Some(after) });
        }
    }

    fn store(&mut self, incoming: &Incoming, out: &mut Vec<u8>) {
        let installed = Rc::clone(&self.bindings[incoming.binding as usize]);
        installed.active.set(true);
        let id = match &incoming.idempotency_key {
            Some(key) => MessageId::ingress(installed.customer(), installed.name(), key.as_bytes()),
            None => MessageId::random(installed.customer(), installed.name()),
        };
        let block = self.publisher.block.start(installed.customer());
        block.put(headers::MESSAGE_ID, id.as_str().as_bytes());
        if !incoming.content_type.is_empty() {
            block.put(headers::CONTENT_TYPE, incoming.content_type.as_bytes());
        }
        block.put_number(headers::TIME, self.now_ms).pass_lines(&incoming.headers).end();
        if let Err(fault) = self.publisher.check_size(&incoming.payload) {
            self.refuse(incoming, fault, Duration::from_secs(1));
            return;
        }
        let bytes = u32::try_from(incoming.payload.len()).unwrap_or(u32::MAX);
        let origin = Origin::Http { item: incoming.item, binding: incoming.binding, bytes };
        let receipt = self.open(origin, id.as_str().as_bytes());
        let parent = Parent::Entry(receipt);
        let stored = self.publisher.publish_stream(parent, &installed.logic_subject, &incoming.payload, out);
        let outcome = stored.map_or_else(|fault| Outcome::Retry(Duration::from_secs(1), fault), |_| Outcome::Ok);
        self.settle(parent, outcome, out);
    }
}
