//! What the host says of sources that one node alone may read; who holds them is for the host to find out.

use std::sync::Arc;

use super::{Key, Node};
use crate::engine::shard::{Command, LeaseChange};

impl Node {
    /// Begins a lease: until then, by `process::boot_ms`, this node may read what it is granted. Only when all that was
    /// granted before was revoked.
    pub fn begin_lease(&self, until: u64) {
        self.lease.begin(until);
    }

    /// Holds on until then. `false` when it was over, and shards have given their sources up: the host revokes all.
    #[must_use]
    pub fn renew_lease(&self, until: u64) -> bool {
        self.lease.renew(until)
    }

    /// Has the sources of some pipelines read, also of those that are installed later, and those of others no more.
    /// Returns when nothing comes of what is revoked: its messages in flight are stored, or 12 s are over.
    pub fn lease(&self, grant: &[Key], revoke: &[Key]) {
        let (grant, revoke): (Arc<[Key]>, Arc<[Key]>) = (grant.into(), revoke.into());
        self.on_all_shards(|done| {
            Command::Lease(LeaseChange { grant: Arc::clone(&grant), revoke: Arc::clone(&revoke), done })
        });
    }
}
