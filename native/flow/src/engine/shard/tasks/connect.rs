//! Connects sinks, and closes them.

use std::rc::Rc;

use tokio::sync::Semaphore;

use crate::engine::delivery::{Host, Outlet};
use crate::engine::message::QueueId;

/// Sinks that connect at the same time: a node with thousands of them starts without a flood.
pub const MAX_CONNECTING: usize = 64;

/// Connects a sink in its turn. `reports`: an error is an event.
pub async fn connect<H: Host>(host: H, queue: QueueId, outlet: Rc<Outlet>, reports: bool, turns: Rc<Semaphore>) {
    // The semaphore is never closed.
    let turn = turns.acquire().await;
    let connected = outlet.connect().await;
    drop(turn);
    host.with(|delivery, settlement, _| delivery.on_connected(settlement, queue, connected, reports));
}

/// Waits until nothing of the queue is in hand, then closes its sink.
pub async fn close<H: Host>(host: H, queue: QueueId, outlet: Rc<Outlet>) {
    while !host.with(|delivery, _, _| delivery.is_done(queue)) {
        outlet.released.notified().await;
    }
    outlet.close().await;
    host.with(|delivery, _, _| delivery.forget(queue));
}
