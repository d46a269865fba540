//! A sink's worker: takes what waits, writes it, reports.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::engine::delivery::{Asking, Host, Next, Outlet, Queued};
use crate::engine::message::QueueId;
use crate::engine::registry::Revision;

/// A worker without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

/// Ends when there was nothing for a while, or its queue is closed.
pub async fn deliver<H: Host>(host: H, queue: QueueId, outlet: Rc<Outlet>) {
    let Some((revision, target)) = host.with(|delivery, _, _| delivery.destination(queue)) else { return };
    let mut next = host.with(|delivery, _, _| delivery.next(queue, Asking::Busy));
    loop {
        next = match next {
            Next::Write(batch) => {
                host.with(|_, settlement, _| settlement.meters().write_begins());
                let outcomes = write(&outlet, &revision, target, &batch).await;
                host.with(|delivery, settlement, consumers| {
                    settlement.meters().write_ends();
                    delivery.on_delivered(settlement, consumers, queue, batch, outcomes);
                    delivery.next(queue, Asking::Busy)
                })
            }
            Next::Wait(until) => {
                let asking = wait(&outlet, until).await;
                host.with(|delivery, _, _| delivery.next(queue, asking))
            }
            Next::End => return,
        };
    }
}

/// One call of the sink. Nothing is copied for it.
async fn write(outlet: &Outlet, revision: &Revision, target: usize, batch: &[Queued]) -> Vec<connectors::Outcome> {
    let owner = &revision.owner;
    let ids: Vec<_> = batch.iter().map(|queued| queued.delivery_id(revision, &revision.targets[target])).collect();
    let deliveries: Vec<_> = batch
        .iter()
        .zip(&ids)
        .map(|(queued, id)| connectors::Delivery {
            id: id.as_str(),
            payload: &queued.message.payload,
            content_type: &queued.message.content_type,
            customer: owner.customer(),
            pipeline: owner.name(),
            headers: &queued.message.headers,
            address: queued.address.as_deref(),
        })
        .collect();
    let mut write = pin!(outlet.write(&deliveries));
    // What the sink does between two waits is its customer's work.
    poll_fn(|context| {
        let began = Instant::now();
        let polled = write.as_mut().poll(context);
        owner.counters.used(began.elapsed());
        polled
    })
    .await
}

/// Until something arrives, or until then.
async fn wait(outlet: &Outlet, until: Option<Instant>) -> Asking {
    let idle = Instant::now() + IDLE;
    let Some(until) = until.filter(|until| *until < idle) else {
        let woken = timeout_at(idle, outlet.arrived.notified()).await;
        return if woken.is_ok() { Asking::Woken } else { Asking::Idle };
    };
    tokio::select! {
        biased;
        () = outlet.arrived.notified() => {}
        () = sleep_until(until) => {}
    }
    Asking::Woken
}
