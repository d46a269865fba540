//! The end of a shard: it takes nothing more in, finishes what is in hand, and sends the rest back.

use std::rc::Rc;
use std::time::Duration;

use connectors::http::source::RoutedSource;
use message::{Code, Fault};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::tasks::close_source;
use super::{Parts, Shard};
use crate::engine::settlement::Origin;

/// What is left of a drain for the last words to the server.
const FLUSH: Duration = Duration::from_secs(1);

impl Shard {
    /// Stops intake, waits for what is in hand, sends the rest back, flushes, closes the sinks. `true` when nothing
    /// had to be sent back.
    pub(super) async fn drain(self: &Rc<Self>, deadline: Duration) -> bool {
        let end = Instant::now() + deadline;
        let source = self.with(Parts::stop_intake);
        let own = self.parts.borrow().ingress.own.sources();
        let own = own.into_iter().map(|source| spawn_local(async move { close_source(&*source, deadline).await }));
        let own: Vec<_> = own.collect();
        if let Some(source) = &source {
            source.close(deadline).await;
        }
        for closing in own {
            let _ = closing.await;
        }
        while !self.parts.borrow().is_idle() {
            if tokio::time::timeout_at(end, self.progress.notified()).await.is_err() {
                break;
            }
        }
        let finished = self.with(Parts::give_back);
        // The answer does not matter: it comes after everything written before it.
        let _ = self.outbox.request("$SYS.REQ.USER.INFO", b"", FLUSH).await;
        let closed = self.parts.borrow_mut().delivery.close_all();
        closed.await;
        finished
    }
}

impl Parts {
    /// Takes nothing more in. Gives the source, which has to be closed.
    fn stop_intake(&mut self) -> Option<Rc<dyn RoutedSource>> {
        self.draining = true;
        self.delivery.begin_drain();
        self.consumers.close_all(&mut self.settlement.wire);
        // What the server had handed out by then comes before the marker. Core NATS messages are taken in, since nobody
        // else gets them; those of a stream are given back at once, or they would be nobody's for as long as `ack_wait`.
        self.settlement.fence();
        self.ingress.source().cloned()
    }

    /// Whether nothing is in hand that could be finished: what waits for a server that fails would
    /// only use up the drain's time, and goes back to its stream.
    fn is_idle(&self) -> bool {
        !self.settlement.has_unmarked()
            && self.settlement.ledger().len() <= self.delivery.held()
            && self.steps.is_idle()
    }

    /// What could not be finished goes back to its stream, and comes to another node at once.
    /// `true` when there was nothing of it.
    fn give_back(&mut self) -> bool {
        let finished = self.settlement.ledger().is_empty();
        let fault = Fault::new(Code::HttpUnavailable, "the node is stopping");
        self.settlement.abandon(&fault, |pick| pick.origin != Origin::Core);
        finished
    }
}
