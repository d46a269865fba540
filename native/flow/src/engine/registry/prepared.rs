//! A compiled pipeline on its way to the shards: checked once, the same for all.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use connectors::http::source::Route;
use connectors::kind::Secrets as _;
use connectors::rate::TokenBucket;
use message::{Code, Fault};
use script::{Executor, Loaded};
use tokio::time::Instant;

use super::secrets::Secrets;
use crate::compile::{Pipeline, check_canary};
use crate::engine::canary::WHOLE;
use crate::engine::observe::{Counters, Healths, Runs};
use crate::engine::settings::{Settings, Topology};
use crate::engine::subjects::Lane;
use crate::model::{Ceilings, Limits};

/// A compiled pipeline with its secrets and what its shards count.
pub struct Prepared {
    pub pipeline: Arc<Pipeline>,
    pub secrets: Secrets,
    /// One set of counters per shard; they go on over revisions.
    pub counters: Vec<Arc<Counters>>,
    /// One per shard, of this revision alone.
    pub health: Vec<Arc<Healths>>,
    /// Of an HTTP in.
    pub(super) route: Option<Route>,
    pub(super) bucket: Option<Arc<Mutex<TokenBucket>>>,
    pub(super) lane: Lane,
    pub(super) topology: Topology,
    pub(super) is_closed: bool,
    /// What runs a share of its messages.
    pub canary: Option<CanaryPlan>,
}

/// A canary of a pipeline, for all shards.
pub struct CanaryPlan {
    pub pipeline: Arc<Pipeline>,
    pub millionths: u32,
    /// One for each shard. They go on for as long as the two revisions are the same.
    pub runs: Vec<Arc<Runs>>,
}

impl Prepared {
    /// Finds every secret now, so that a missing one refuses the revision instead of its messages.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a token that cannot stand in a header.
    pub fn new(
        pipeline: Arc<Pipeline>,
        secrets: Secrets,
        counters: Vec<Arc<Counters>>,
        settings: &Settings,
    ) -> Result<Prepared, Fault> {
        for name in pipeline.secret_names() {
            secrets.get(name)?;
        }
        // To make the route is the check of an HTTP in.
        let below = |fault: Fault| fault.below(&format!("/in/{}", pipeline.file().input.connector().kind));
        let route = pipeline.http().map(|http| http.route(&secrets)).transpose().map_err(below)?;
        if route.is_none() {
            pipeline.input().check(&secrets).map_err(below)?;
        }
        let bucket = pipeline.rate().map(|rate| Arc::new(Mutex::new(TokenBucket::new(rate, 0, Instant::now()))));
        let health = counters.iter().map(|_| Arc::new(Healths::new(pipeline.outs().len()))).collect();
        let (lane, topology) = (settings.lane_of(pipeline.customer()), settings.topology);
        let is_closed = settings.closed.contains(pipeline.customer());
        let canary = None;
        Ok(Prepared { pipeline, secrets, counters, health, route, bucket, lane, topology, is_closed, canary })
    }

    /// With a canary beside it, which counts on where `earlier` has the same two revisions.
    ///
    /// # Errors
    /// `config/canary` with the pointer of what it changes and may not; `config/invalid-value` for the share.
    pub fn with_canary(
        self,
        pipeline: Arc<Pipeline>,
        millionths: u32,
        earlier: Option<&Prepared>,
    ) -> Result<Prepared, Fault> {
        check_canary(&self.pipeline, &pipeline)?;
        if millionths == 0 || millionths > WHOLE {
            return Err(Fault::new(
                Code::ConfigInvalidValue,
                "the share of a canary has to be above 0 % and at most 100 %",
            ));
        }
        let goes_on = |earlier: &&Prepared| earlier.pipeline.revision() == self.pipeline.revision();
        let canary = earlier.filter(goes_on).and_then(|earlier| earlier.canary.as_ref());
        let canary = canary.filter(|canary| canary.pipeline.revision() == pipeline.revision());
        let new = || self.counters.iter().map(|_| Arc::default()).collect();
        let runs = canary.map_or_else(new, |canary| canary.runs.clone());
        Ok(Prepared { canary: Some(CanaryPlan { pipeline, millionths, runs }), ..self })
    }

    /// The same, with its canary, for other settings of the node. What was counted goes on.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub fn again(&self, settings: &Settings) -> Result<Prepared, Fault> {
        let (pipeline, secrets) = (Arc::clone(&self.pipeline), self.secrets.clone());
        let prepared = Prepared::new(pipeline, secrets, self.counters.clone(), settings)?;
        match &self.canary {
            Some(canary) => prepared.with_canary(Arc::clone(&canary.pipeline), canary.millionths, Some(self)),
            None => Ok(prepared),
        }
    }

    /// Its scripts and those of its canary, for as long as what is returned lives.
    #[must_use]
    pub fn load(&self, executor: &Rc<dyn Executor>) -> Vec<Loaded> {
        let canary = self.canary.iter().flat_map(|canary| canary.pipeline.programs());
        self.pipeline.programs().chain(canary).map(|program| Loaded::new(executor, program)).collect()
    }

    /// Whether neither it nor its canary asks for more than the node's operator allows.
    ///
    /// # Errors
    /// `config/above-ceiling` with the pointer of the limit.
    pub fn check_ceilings(&self, ceilings: &Ceilings) -> Result<(), Fault> {
        let canary = self.canary.iter().map(|canary| &canary.pipeline);
        std::iter::once(&self.pipeline).chain(canary).try_for_each(|one| ceilings.check(&one.file().limits))
    }

    /// Whether the server takes payloads as large as the file asks for. For the default nobody has asked.
    ///
    /// # Errors
    /// `config/invalid-value` with the pointer of the value.
    pub fn check_size(&self, max_payload: usize) -> Result<(), Fault> {
        let (pipeline, file) = (&self.pipeline, self.pipeline.file());
        let bytes = Some(file.limits.bytes).filter(|bytes| *bytes != Limits::default().bytes);
        let limits = bytes.map(|bytes| (bytes, "limits.bytes", "/limits/bytes".to_owned()));
        let option = pipeline.input().asked_bytes();
        let option = option.map(|(asked, key)| (asked, key, format!("/in/{}/{key}", file.input.connector().kind)));
        for (asked, key, pointer) in limits.into_iter().chain(option) {
            if asked as usize > max_payload {
                let reason = format!(
                    "`{key}` of {}/{} is {asked}, above the NATS server's max_payload, {max_payload}",
                    file.customer, file.pipeline
                );
                return Err(Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer));
            }
        }
        Ok(())
    }
}
