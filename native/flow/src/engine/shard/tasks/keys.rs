//! Reads the record of a client's key that is there already.

use std::rc::Rc;

use message::{Code, Fault};

use super::super::Shard;
use crate::engine::ingress::Recorded;
use crate::engine::nats_api::{Unknown, last_message};
use crate::engine::subjects;

pub async fn read(shard: Rc<Shard>, item: u64, subject: String) {
    let found = recorded(&shard, &subject).await.map_err(|unknown| match unknown {
        Unknown::Refused(fault) => fault,
        Unknown::NoAnswer => Fault::new(Code::NatsTimeout, "the record of the Idempotency-Key did not come"),
    });
    shard.with(|parts| parts.ingress.on_record(&mut parts.settlement, item, found));
}

/// The record, and whether its message is stored.
async fn recorded(shard: &Shard, subject: &str) -> Result<Option<Recorded>, Unknown> {
    let Some(record) = last_message(&shard.outbox, subjects::KEYS, subject).await? else { return Ok(None) };
    let stored = last_message(&shard.outbox, subjects::KEYS, &subjects::key_stored(subject)).await?;
    let text = std::str::from_utf8(&record).ok();
    let recorded = text.and_then(|text| Recorded::parse(text, stored.is_some()));
    let unreadable = || Fault::new(Code::NatsProtocol, "the record of the Idempotency-Key cannot be read");
    recorded.map(Some).ok_or_else(|| Unknown::Refused(unreadable()))
}
