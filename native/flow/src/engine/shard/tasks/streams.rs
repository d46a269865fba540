//! Learns which stream listens on the subject of a NATS out, so that a PubAck counts only from there.

use std::rc::Rc;
use std::time::Duration;

use super::super::Shard;
use crate::engine::nats_api::{Unknown, stream_of};
use crate::engine::registry::Revision;

/// Between two requests while there is no such stream, or no answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Asks until the stream of every out is known, the server refuses to say, or the revision is replaced.
pub async fn learn(shard: Rc<Shard>, revision: Rc<Revision>) {
    loop {
        let mut is_over = true;
        let unknown = shard.parts.borrow().streams_to_learn(&revision);
        for (subject, stream) in unknown {
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
        tokio::time::sleep(PAUSE).await;
    }
}
