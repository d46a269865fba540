//! Sources that have a task of their own: connected with growing pauses, and read as long as there is room.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use connectors::{ConnectorError, Incoming, Source};
use message::{Code, Fault};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::super::Shard;
use crate::engine::ingress::{Ended, MAX_BYTES, MAX_MESSAGES, OwnEffect, SourceId, Turn};
use crate::engine::observe::EventKind;

/// Longest wait for a first message.
const WAIT: Duration = Duration::from_secs(60);
/// Between two attempts to connect: doubled from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A connection that has held so long was a good one: the pauses begin anew.
const STABLE: Duration = Duration::from_secs(30);
/// How long the end of a source is waited for; it has a deadline of its own.
const CLOSING: Duration = Duration::from_secs(12);

pub fn spawn(shard: &Rc<Shard>, effect: OwnEffect) {
    match effect {
        OwnEffect::Run { id, source, after } => {
            let shard = Rc::clone(shard);
            spawn_local(async move {
                let reading = spawn_local(read(Rc::clone(&shard), id, source, after));
                let has_panicked = reading.await.is_err();
                shard.with(|parts| {
                    if has_panicked {
                        parts.node_event(EventKind::Node, &Fault::new(Code::InternalPanic, "a source has panicked"));
                    }
                    parts.ingress.own.forget(id);
                });
            });
        }
        OwnEffect::Close { source, deadline } => {
            spawn_local(async move { close(&*source, deadline).await });
        }
    }
}

/// Closes a source; one that does not keep the deadline is left behind.
pub async fn close(source: &dyn Source, deadline: Duration) {
    let _ = timeout(deadline + Duration::from_secs(1), source.close(deadline)).await;
}

/// Waits for the end of a source; one that hangs does not hold up its successor for ever.
pub async fn ended(one: &Ended) {
    let _ = timeout(CLOSING, one.wait()).await;
}

async fn read(shard: Rc<Shard>, id: SourceId, source: Rc<dyn Source>, after: Option<Rc<Ended>>) {
    if let Some(after) = after {
        ended(&after).await;
    }
    let mut pause = FIRST_PAUSE;
    while shard.with(|parts| parts.ingress.is_read(id)) {
        let began = Instant::now();
        match source.connect().await {
            Ok(()) => {
                shard.with(|parts| parts.ingress.own.set_fault(id, None));
                if read_connected(&shard, id, &*source).await.is_err() {
                    return;
                }
                let lost = Fault::new(Code::ConnectorNotConnected, "the connection is lost");
                shard.with(|parts| parts.ingress.own.set_fault(id, Some(&lost)));
            }
            Err(fault) => shard.with(|parts| parts.on_source_fault(id, &fault)),
        }
        if began.elapsed() >= STABLE {
            pause = FIRST_PAUSE;
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// There is nothing more to read.
struct Ending;

/// Reads until the connection is gone.
async fn read_connected(shard: &Rc<Shard>, id: SourceId, source: &dyn Source) -> Result<(), Ending> {
    loop {
        let room = room(shard, id).await;
        match source.read_batch(room.min(MAX_MESSAGES), MAX_BYTES, WAIT).await {
            Ok(batch) => offer(shard, id, batch.into()).await,
            Err(ConnectorError::NotConnected) => return Ok(()),
            Err(ConnectorError::EndOfInput) => return Err(Ending),
            Err(ConnectorError::BackOff(pause)) => sleep(pause).await,
        }
    }
}

/// Waits until more messages may be read: how many.
async fn room(shard: &Rc<Shard>, id: SourceId) -> usize {
    loop {
        match shard.with(|parts| parts.ingress.own.turn(id)) {
            Turn::Read(messages) => return messages,
            Turn::Wait { settled, until: None } => settled.notified().await,
            Turn::Wait { settled, until: Some(until) } => {
                let _ = timeout_at(until, settled.notified()).await;
            }
        }
    }
}

/// Hands a batch over, in its order; waits where the pipeline may take no more.
async fn offer(shard: &Rc<Shard>, id: SourceId, mut batch: VecDeque<Incoming>) {
    while !batch.is_empty() {
        let pause = shard.with(|parts| {
            let (settlement, registry) = (&mut parts.settlement, &parts.registry);
            if let Some(revision) = parts.ingress.own.revision(id) {
                parts.cpu.switch(revision);
            }
            let pause = parts.ingress.offer(settlement, registry, id, &mut batch);
            parts.cpu.end(|| shard.world.thread_cpu());
            pause
        });
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}
