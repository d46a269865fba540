//! Watches the lanes of a throttled revision.

use std::rc::Rc;
use std::time::Duration;

use super::super::Shard;
use crate::engine::message::Route;
use crate::engine::nats_api::{Unknown, stored};
use crate::engine::registry::Revision;

/// Between two looks: while there is room, and at most.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Looks how much room there is until half of every lane is free, or the revision is replaced.
pub async fn watch(shard: Rc<Shard>, revision: Rc<Revision>) {
    let mut pause = MIN_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        if !shard.parts.borrow().registry.is_active(&revision) {
            return;
        }
        let room = room(&shard, &revision).await;
        pause = if room.unwrap_or(0) == 0 { (pause * 2).min(MAX_PAUSE) } else { MIN_PAUSE };
        if room.is_some_and(|room| revision.backpressure.looked(room, revision.outgoing_capacity)) {
            return;
        }
    }
}

/// How many more messages its fullest lane takes; `None` when the server does not say.
async fn room(shard: &Shard, revision: &Revision) -> Option<u64> {
    let mut room = revision.outgoing_capacity;
    for target in &revision.targets {
        let Route::Lane { subject, stream } = &target.route else { continue };
        match stored(&shard.outbox, stream, subject).await {
            Ok(stored) => room = room.min(revision.outgoing_capacity.saturating_sub(stored)),
            // A stream that may not be looked at.
            Err(Unknown::Refused(_)) => {}
            Err(Unknown::NoAnswer) => return None,
        }
    }
    Some(room)
}
