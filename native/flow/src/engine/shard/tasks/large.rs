//! Brings back what the thread for large payloads has done.

use std::rc::Rc;

use super::super::Shard;

pub async fn collect(shard: Rc<Shard>) {
    let receiver = shard.with(|parts| parts.steps.large_receiver());
    let Some(mut receiver) = receiver else { return };
    while let Some(done) = receiver.recv().await {
        shard.with(|parts| {
            parts.steps.on_large(&mut parts.settlement, done);
            parts.top_up();
        });
    }
}
