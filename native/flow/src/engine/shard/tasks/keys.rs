//! Reads the record of a client's key that is there already.

use std::rc::Rc;

use message::{Code, Fault};

use super::super::Shard;
use crate::engine::ingress::Recorded;
use crate::engine::nats_api::{Unknown, last_message};
use crate::engine::subjects;

pub async fn read(shard: Rc<Shard>, item: u64, subject: String) {
    let found = match last_message(&shard.outbox, subjects::KEYS, &subject).await {
        Ok(None) => Ok(None),
        Ok(Some(payload)) => std::str::from_utf8(&payload)
            .ok()
            .and_then(Recorded::parse)
            .map(Some)
            .ok_or_else(|| Fault::new(Code::NatsProtocol, "the record of the Idempotency-Key cannot be read")),
        Err(Unknown::Refused(fault)) => Err(fault),
        Err(Unknown::NoAnswer) => Err(Fault::new(Code::NatsTimeout, "the record of the Idempotency-Key did not come")),
    };
    shard.with(|parts| parts.ingress.on_record(&mut parts.settlement, item, found));
}
