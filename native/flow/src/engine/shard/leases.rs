//! Sources that one node alone may read, and that this shard reads because its node has a lease.
//!
//! ```text
//! Command::Lease ─► grant: open     revoke: close, and tell when it is over
//! each burst     ─► the lease is over: close at once, forget what waits for its PubAck, say so;
//! each write     ─► and give up the connection with what is not sent yet
//! ```
//!
//! The look comes before each burst and each write, so that a node that was frozen, or cut off, publishes nothing more of a source that
//! another one may read by now.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use connectors::kind::{Attach, Fence};
use message::{Code, Fault};
use tokio::task::spawn_local;

use super::tasks::source_ended;
use super::{LeaseChange, Parts, Shard};
use crate::engine::ingress::{Ended, SourceId};
use crate::engine::observe::EventKind;
use crate::engine::settlement::Origin;
use crate::engine::world::Lease;

type Key = (Box<str>, Box<str>);

/// Which sources the node has been granted; the same in each of its shards.
pub struct Leases {
    lease: Arc<Lease>,
    granted: BTreeSet<Key>,
    is_any: Rc<Cell<bool>>,
}

impl Leases {
    #[must_use]
    pub fn new(lease: Arc<Lease>) -> Leases {
        Leases { lease, granted: BTreeSet::new(), is_any: Rc::default() }
    }

    #[must_use]
    pub fn has(&self, customer: &str, pipeline: &str) -> bool {
        self.granted.contains(&(customer.into(), pipeline.into()))
    }

    #[must_use]
    pub fn fence(&self) -> Arc<dyn Fence> {
        Arc::<Lease>::clone(&self.lease)
    }

    /// For the connection: whether nothing more may be sent until [`Parts::on_lapse`].
    #[must_use]
    pub fn guard(&self) -> Rc<dyn Fn() -> bool> {
        let (is_any, lease) = (Rc::clone(&self.is_any), Arc::clone(&self.lease));
        Rc::new(move || is_any.get() && lease.has_lapsed())
    }

    /// Whether there is something to be given up. Costs nothing where nothing was granted.
    #[inline]
    #[must_use]
    pub fn have_lapsed(&self) -> bool {
        self.is_any.get() && self.lease.has_lapsed()
    }
}

impl Parts {
    /// The lease is over: nothing that a source of it has brought is published from here on.
    #[cold]
    pub fn on_lapse(&mut self) {
        let count = self.leases.granted.len();
        self.leases.granted.clear();
        self.leases.is_any.set(false);
        let retired = self.ingress.own.retire_leased();
        let reason = format!("the lease of {count} sources was not renewed in time; this node reads them no more");
        let fault = Fault::new(Code::NatsLeaseLost, reason);
        let is_theirs = |item| retired.contains(&SourceId::of(item).0);
        self.settlement.abandon(&fault, |pick| matches!(pick.origin, Origin::Source { item, .. } if is_theirs(item)));
        if self.shard_number == 0 {
            self.node_event(EventKind::Node, &fault);
        }
    }

    /// What is to be waited for until nothing more comes of what is revoked.
    fn change_leases(&mut self, change: &LeaseChange) -> Vec<Rc<Ended>> {
        let mut ended = Vec::new();
        for key @ (customer, pipeline) in &*change.revoke {
            self.leases.granted.remove(key);
            if let Some(revision) = self.registry.named(customer, pipeline).map(Rc::clone) {
                self.ingress.own.retire(&revision);
            }
            ended.extend(self.ingress.own.leaving(customer, pipeline));
        }
        for key @ (customer, pipeline) in &*change.grant {
            if self.draining || !self.leases.granted.insert(key.clone()) {
                continue;
            }
            if let Some(revision) = self.registry.named(customer, pipeline).map(Rc::clone)
                && let Attach::Task(task) = revision.pipeline().input().attach()
                && !task.is_shared()
            {
                self.open_own(&revision, task, None);
            }
        }
        self.leases.is_any.set(!self.leases.granted.is_empty());
        ended
    }
}

impl Shard {
    /// Reads what is granted, and ends what is revoked. `change.done` goes when that is over.
    pub(super) fn on_lease(self: &Rc<Self>, change: LeaseChange) {
        let ended = self.with(|parts| parts.change_leases(&change));
        spawn_local(async move {
            for one in ended {
                source_ended(&one).await;
            }
            // The node does not wait any more when it is gone.
            let _ = change.done.send(());
        });
    }
}
