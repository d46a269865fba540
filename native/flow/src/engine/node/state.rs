//! What a node has installed, and how that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use message::Fault;

use super::claims::Claims;
use super::metrics::Retired;
use super::{CanaryInstall, Install, Key, Shard, key};
use crate::engine::delivery::{Hosting, check_outs};
use crate::engine::observe::Counters;
use crate::engine::registry::Prepared;
use crate::engine::settings::{NodeType, Settings};

/// What is installed, and what runs of it.
#[derive(Default)]
pub struct State {
    pub installed: BTreeMap<Key, Arc<Prepared>>,
    /// How often `installed` was changed.
    pub changes: u64,
    pub claims: Claims,
    pub retired: Retired,
    pub(super) shards: Vec<Shard>,
    /// Of the server: as the settings say, then as the shards have found it.
    pub max_payload: Option<usize>,
    pub address: Option<SocketAddr>,
    /// For a process that takes them over; none once it drains.
    pub listeners: Vec<TcpListener>,
}

impl State {
    /// Whether the node can have it.
    pub fn prepare(
        &self,
        key: &Key,
        Install { pipeline, secrets, canary }: Install,
        (settings, hosting): (&Settings, &Hosting),
    ) -> Result<Prepared, Fault> {
        let earlier = self.installed.get(key).map(AsRef::as_ref);
        let counters = match earlier {
            Some(earlier) => earlier.counters.clone(),
            None => (0..settings.threads).map(|_| Arc::new(Counters::default())).collect(),
        };
        let mut prepared = Prepared::new(pipeline, secrets, counters, settings)?;
        if let Some(CanaryInstall { pipeline, millionths }) = canary {
            prepared = prepared.with_canary(pipeline, millionths, earlier)?;
        }
        if settings.serves(NodeType::Outgoing) {
            check_outs(&prepared.pipeline, &prepared.secrets, hosting)?;
        }
        prepared.check_ceilings(&settings.ceilings)?;
        self.max_payload.map_or(Ok(()), |max_payload| prepared.check_size(max_payload))?;
        Ok(prepared)
    }

    /// What leaves an address goes before whoever comes to it.
    pub fn change(&mut self, install: &[Arc<Prepared>], removes: &[Key]) {
        self.changes += 1;
        let comes: BTreeSet<Key> = install.iter().map(|prepared| key(&prepared.pipeline)).collect();
        for key in removes.iter().chain(&comes) {
            if let Some(earlier) = self.installed.remove(key) {
                self.claims.take(&earlier.pipeline);
                // The next revision counts on with the same ones.
                if !comes.contains(key) {
                    self.retired.add(&key.0, earlier.counters.clone());
                }
            }
        }
        for prepared in install {
            let key = key(&prepared.pipeline);
            self.claims.put(&key, &prepared.pipeline);
            self.installed.insert(key, Arc::clone(prepared));
        }
    }
}
