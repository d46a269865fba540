//! Reads what the source has, as long as it has something.

use std::rc::Rc;
use std::time::Duration;

use connectors::ConnectorError;
use connectors::http::source::RoutedSource;

use super::super::Shard;
use crate::engine::ingress::{MAX_BYTES, MAX_MESSAGES};

/// Longest wait for a first request.
const WAIT: Duration = Duration::from_secs(60);
const NOT_CONNECTED: Duration = Duration::from_millis(100);

pub async fn read(shard: Rc<Shard>, source: Rc<dyn RoutedSource>) {
    loop {
        match source.read_batch(MAX_MESSAGES, MAX_BYTES, WAIT).await {
            Ok(batch) if batch.is_empty() => {}
            Ok(batch) => {
                shard.with(|parts| {
                    let (settlement, registry, cpu) = (&mut parts.settlement, &parts.registry, &mut parts.cpu);
                    parts.ingress.on_batch(settlement, registry, batch, |revision| cpu.switch(revision));
                    cpu.end(|| shard.world.thread_cpu());
                });
            }
            Err(ConnectorError::EndOfInput) => return,
            Err(ConnectorError::BackOff(pause)) => tokio::time::sleep(pause).await,
            Err(ConnectorError::NotConnected) => tokio::time::sleep(NOT_CONNECTED).await,
        }
    }
}
