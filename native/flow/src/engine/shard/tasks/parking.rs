//! Looks after the parked messages of outs.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use nats::Outbox;
use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};

use crate::engine::delivery::{AfterPoll, Host, MIN_PAUSE, Outlet, PAUSE, PollRequest, PollResponse};
use crate::engine::message::QueueId;
use crate::engine::nats_api::{Unknown, consumer_info, delete_consumer, make_consumer, stored_at, stored_under};
use crate::engine::subjects;

/// Requests at the same time: a node with thousands of outs starts without a flood.
pub const MAX_POLLING: usize = 64;
/// How often messages are looked for that nobody brings back.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Subjects that the server lists in one answer.
const MAX_LISTED: usize = 100_000;
/// Requests for that list, before each new queue asks for itself.
const MAX_TRIES: u32 = 5;

/// Polls the parked messages of a queue until its breaker is closed.
pub async fn supervise<H: Host>(host: H, queue: QueueId, outlet: Rc<Outlet>, turns: Rc<Semaphore>) {
    while let Some(request) = host.with(|delivery, _, _| delivery.begin_poll(queue)) {
        let response = {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            poll(host.outbox(), &request).await
        };
        let Ok(response) = response else {
            sleep(PAUSE).await;
            continue;
        };
        let after = host.with(|delivery, settlement, consumers| {
            delivery.on_polled(settlement, consumers, queue, &request, response)
        });
        match after {
            AfterPoll::Wait(pause) => {
                sleep(MIN_PAUSE).await;
                // Nothing is notified when another shard has the last ones in hand.
                let _ = timeout(pause, outlet.changed.notified()).await;
            }
            AfterPoll::DeleteConsumer => {
                delete_consumer(host.outbox(), subjects::PARKED, &request.consumer).await;
            }
        }
    }
}

async fn poll(outbox: &Outbox, request: &PollRequest) -> Result<PollResponse, Unknown> {
    let (stored, last_sequence) = stored_at(outbox, subjects::PARKED, &request.subject).await?;
    let nothing = PollResponse { stored, last_sequence, untried: stored, is_idle: false };
    if stored == 0 || request.in_use && request.keeps_order {
        return Ok(nothing);
    }
    let consumer = &request.consumer;
    if request.in_use
        && let Ok(info) = consumer_info(outbox, subjects::PARKED, consumer).await
    {
        return Ok(PollResponse { untried: info.num_pending, ..nothing });
    }
    let made = make_consumer(outbox, subjects::PARKED, consumer, &request.subject, Some(request.life)).await?;
    let is_idle = !request.in_use && made.num_pending + made.num_ack_pending == 0;
    Ok(PollResponse { untried: made.num_pending, is_idle, ..nothing })
}

/// Learns what is parked of new queues: one request for all that were opened meanwhile.
pub async fn poll_new<H: Host>(host: H) {
    while let Some(queues) = host.with(|delivery, _, _| delivery.begin_first_polls()) {
        let stored = all_parked(host.outbox()).await;
        host.with(|delivery, settlement, consumers| {
            delivery.on_first_polls(settlement, consumers, queues, stored.as_ref());
        });
    }
}

/// The parked messages, by subject; `None` when the server has not told all.
async fn all_parked(outbox: &Outbox) -> Option<BTreeMap<String, u64>> {
    for _ in 0..MAX_TRIES {
        match stored_under(outbox, subjects::PARKED, subjects::ALL_PARKED).await {
            Ok(stored) => return (stored.len() < MAX_LISTED).then_some(stored),
            Err(Unknown::Refused(_)) => return None,
            Err(Unknown::NoAnswer) => sleep(PAUSE).await,
        }
    }
    None
}

/// For as long as the shard lives: looks for parked messages of outs that work, of a node that is gone, or stored
/// after their publish was given up. One request for all.
pub async fn look_again<H: Host>(host: H) {
    let mut interval = interval(LOOK_AGAIN);
    loop {
        interval.tick().await;
        let Ok(stored) = stored_under(host.outbox(), subjects::PARKED, subjects::ALL_PARKED).await else { continue };
        let stored = stored.iter().map(|(subject, count)| (subject.as_str(), *count));
        host.with(|delivery, _, _| delivery.on_stored(stored));
    }
}
