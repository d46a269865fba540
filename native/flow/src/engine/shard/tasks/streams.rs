//! Learns which stream listens on the subject of a NATS out, so that a PubAck counts only from there.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::Shard;
use crate::engine::nats_api::{Unknown, stream_of};
use crate::engine::registry::Revision;

/// Between two requests while there is no such stream, or no answer: at first, and at most.
const MIN_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Asks until the stream of every out is known, the server refuses to say, or the revision is replaced.
pub async fn learn(shard: Rc<Shard>, revision: Rc<Revision>, turns: Rc<Semaphore>) {
    let mut pause = MIN_PAUSE;
    loop {
        let mut is_over = true;
        let unknown = shard.parts.borrow().streams_to_learn(&revision);
        for (subject, stream) in unknown {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            match stream_of(&shard.outbox, &subject).await {
                Ok(Some(name)) => *stream.borrow_mut() = Some(name.into()),
                // Who may not ask takes the word of any stream.
                Err(Unknown::Refused(_)) => {}
                Ok(None) | Err(Unknown::NoAnswer) => is_over = false,
            }
        }
        if is_over || !shard.parts.borrow().registry.is_active(&revision) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
