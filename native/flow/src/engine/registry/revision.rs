//! One revision of a pipeline as one shard runs it: where its outputs go, and what it counts.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use connectors::http::source::Route as SourceRoute;
use connectors::kind::Secrets as _;
use connectors::nats::{NatsMode, Publish};
use connectors::rate::TokenBucket;
use script::Loaded;

use super::backpressure::Backpressure;
use super::prepared::{CanaryPlan, Prepared};
use super::secrets::Secrets;
use crate::compile::{Pipeline, RunKind, Target as Out};
use crate::engine::canary::{Share, Trial};
use crate::engine::ids::IdKey;
use crate::engine::message::{CustomerId, Owner, RevisionId, Route, StreamName, Target};
use crate::engine::observe::{Healths, Role};
use crate::engine::settings::Topology;
use crate::engine::subjects::{self, Lane, LaneType};

/// Replaced as a whole, never changed.
pub struct Revision {
    pub owner: Owner,
    /// What a source's messages call the pipeline: a reload changes nothing for a request that is being read. Never used
    /// for another pipeline.
    pub binding: u32,
    pub secrets: Secrets,
    pub health: Arc<Healths>,
    pub targets: Vec<Target>,
    /// Where an incoming connection publishes, and the stream that listens there.
    pub in_subject: String,
    pub in_stream: Rc<str>,
    /// Where topologies are split: the lane of each run of steps, in their order. Without steps there is none.
    pub step_lanes: Vec<StepLane>,
    /// How many messages its outgoing lane holds for each out.
    pub outgoing_capacity: u64,
    /// `limits.rate`, of all shards together; looked at by HTTP ins only.
    pub bucket: Option<Arc<Mutex<TokenBucket>>>,
    /// Whether the pipeline's own backlog lies below its tier's, which the stream enforces.
    pub has_own_backlog: bool,
    pub backlog_full: Cell<bool>,
    /// Whether its in takes nothing in, since its customer moves to other lanes.
    pub is_closed: bool,
    /// Whether something came in since the backlog was last looked at.
    pub active: Cell<bool>,
    /// A canary publishes to the same lanes.
    pub backpressure: Rc<Backpressure>,
    /// Of an HTTP in.
    source_route: Option<SourceRoute>,
    /// Loaded for as long as anything of this revision is in hand.
    _scripts: Rc<[Loaded]>,
    canary: Option<Rc<Revision>>,
}

impl std::fmt::Debug for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Revision({}/{} {})", self.owner.customer(), self.owner.name(), self.owner.revision())
    }
}

/// What numbers a revision has in its shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub revision: RevisionId,
    pub customer: CustomerId,
    pub binding: u32,
    /// Where the pipeline has a canary.
    pub canary: Option<RevisionId>,
}

impl Revision {
    /// What runs beside it.
    #[must_use]
    pub fn canary(&self) -> Option<&Rc<Revision>> {
        self.canary.as_ref()
    }

    /// The one of the two that runs the message with this id: the same for ever and everywhere.
    #[must_use]
    #[inline]
    pub fn chosen<'a>(self: &'a Rc<Revision>, id: &str) -> &'a Rc<Revision> {
        match &self.canary {
            Some(canary) if canary.owner.trial.as_ref().is_some_and(|trial| trial.share.has(id)) => canary,
            _ => self,
        }
    }

    /// Whether its in stores messages, or the keys of some, under a subject.
    #[must_use]
    pub fn stores_at(&self, subject: &str) -> bool {
        let is_stored = self.pipeline().subscription().is_none() || !self.step_lanes.is_empty();
        is_stored && (subject == self.in_subject || subject.starts_with(&subjects::key(self.owner.customer(), "")))
    }

    /// Whether the source of another revision would read what that of this one reads.
    #[must_use]
    pub fn reads_like(&self, other: &Revision) -> bool {
        let (ours, theirs) = (self.pipeline(), other.pipeline());
        let mut secrets = theirs.input().secrets().into_iter();
        ours.file().input == theirs.file().input
            && ours.file().limits.bytes == theirs.file().limits.bytes
            && secrets.all(|name| self.secrets.get(name).ok() == other.secrets.get(name).ok())
    }

    /// `scripts`: those of the canary as well.
    pub(super) fn new(prepared: &Prepared, shard: usize, numbers: Numbers, scripts: Vec<Loaded>) -> Rc<Revision> {
        let (scripts, backpressure): (Rc<[Loaded]>, _) = (scripts.into(), Rc::new(Backpressure::default()));
        let make = |role, id, pipeline: &Arc<Pipeline>| {
            let trial = prepared.canary.as_ref().map(|plan| plan.trial(role, shard));
            let shared = (Rc::clone(&scripts), Rc::clone(&backpressure));
            Revision::alone(prepared, shard, Numbers { revision: id, ..numbers }, Arc::clone(pipeline), trial, shared)
        };
        let mut active = make(Role::Active, numbers.revision, &prepared.pipeline);
        if let (Some(plan), Some(id)) = (&prepared.canary, numbers.canary) {
            active.canary = Some(Rc::new(make(Role::Canary, id, &plan.pipeline)));
        }
        Rc::new(active)
    }

    fn alone(
        prepared: &Prepared,
        shard: usize,
        numbers: Numbers,
        pipeline: Arc<Pipeline>,
        trial: Option<Trial>,
        (scripts, backpressure): (Rc<[Loaded]>, Rc<Backpressure>),
    ) -> Revision {
        let (tier, capacity) = subjects::tier_for(pipeline.backlog());
        let place = Place { tier, lane: &prepared.lane };
        let outgoing_stream: Rc<str> = place.stream(LaneType::Outgoing).into();
        let targets = targets(&pipeline, place, &outgoing_stream);
        let (step_lanes, in_lane) = lanes(&pipeline, place, prepared.topology);
        Revision {
            binding: numbers.binding,
            secrets: prepared.secrets.clone(),
            health: Arc::clone(&prepared.health[shard]),
            targets,
            in_subject: place.subject(in_lane, &pipeline, START),
            in_stream: place.stream(in_lane).into(),
            step_lanes,
            outgoing_capacity: capacity,
            bucket: prepared.bucket.clone(),
            has_own_backlog: pipeline.backlog() < capacity,
            backlog_full: Cell::new(false),
            is_closed: prepared.is_closed,
            active: Cell::new(false),
            backpressure,
            source_route: prepared.route.clone(),
            _scripts: scripts,
            canary: None,
            owner: Owner {
                id: numbers.revision,
                customer_id: numbers.customer,
                counters: Arc::clone(&prepared.counters[shard]),
                place_key: IdKey::new(&["place", pipeline.name()]),
                pipeline,
                trial,
            },
        }
    }

    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.owner.pipeline
    }

    /// The out of this name.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// The lane of the run of steps that begins at a stage, where that is not run here.
    #[must_use]
    pub fn step_lane(&self, stage: usize) -> Option<&StepLane> {
        self.step_lanes.iter().find(|lane| lane.stage == stage)
    }

    /// Path and route of an HTTP in. `max_body` is what the server takes.
    #[must_use]
    pub fn route(&self, max_body: usize) -> Option<(String, SourceRoute)> {
        let http = self.pipeline().http()?;
        let route = self.source_route.clone()?;
        let max_body = route.max_body.min(max_body);
        Some((http.path.clone(), SourceRoute { binding: self.binding, max_body, ..route }))
    }

    /// The stream of a NATS out, to be learnt when the pipeline file does not name it.
    #[must_use]
    pub fn streams_to_learn(&self) -> Vec<(String, StreamName)> {
        let unknown = self.targets.iter().filter_map(|target| match &target.route {
            Route::Stream { subject, stream, .. } if stream.borrow().is_none() => {
                Some((subject.clone(), Rc::clone(stream)))
            }
            _ => None,
        });
        unknown.collect()
    }
}

impl CanaryPlan {
    fn trial(&self, role: Role, shard: usize) -> Trial {
        let share = Share::new(self.pipeline.name(), self.millionths);
        Trial { role, share, canary: self.pipeline.revision().into(), runs: Arc::clone(&self.runs[shard]) }
    }
}

/// The last token of the subject of what an in has stored.
const START: &str = "in";

/// Where messages wait for a run of steps.
pub struct StepLane {
    /// The first of the run.
    pub stage: usize,
    pub subject: String,
    pub stream: Rc<str>,
    /// Of what is handed over there.
    pub publish_key: IdKey,
}

/// The lanes of the runs of steps, where each has its own, and the one of what the in stores.
fn lanes(pipeline: &Pipeline, place: Place<'_>, topology: Topology) -> (Vec<StepLane>, LaneType) {
    let Topology::Split = topology else { return (Vec::new(), LaneType::Logic) };
    let lane_type = |stage| match pipeline.run_kind(stage) {
        RunKind::Filter => LaneType::Filter,
        RunKind::Converter => LaneType::Converter,
    };
    let lane = |stage| {
        let step = if stage == 0 { START } else { pipeline.stage_label(stage) };
        StepLane {
            stage,
            subject: place.subject(lane_type(stage), pipeline, step),
            stream: place.stream(lane_type(stage)).into(),
            publish_key: IdKey::new(&["handover", pipeline.name(), pipeline.revision(), step]),
        }
    };
    (pipeline.runs().map(lane).collect(), lane_type(0))
}

/// Tier and lane of a customer's messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    tier: &'static str,
    lane: &'a Lane,
}

impl Place<'_> {
    fn stream(self, lane_type: LaneType) -> String {
        subjects::stream(lane_type, self.tier, self.lane)
    }

    fn subject(self, lane_type: LaneType, pipeline: &Pipeline, step: &str) -> String {
        subjects::subject(lane_type, self.tier, self.lane, pipeline.customer(), pipeline.name(), step)
    }
}

fn targets(pipeline: &Pipeline, place: Place<'_>, lane_stream: &Rc<str>) -> Vec<Target> {
    // NATS to NATS skips the streams in between: the PubAck of the target is the sink's word.
    let is_direct = pipeline.outs().iter().all(|out| out.publish().is_some());
    let route = |out: &Out| match out.publish().filter(|_| is_direct) {
        Some(Publish { subject, mode: NatsMode::Core, .. }) => Route::Core { subject: subject.clone() },
        Some(Publish { subject, stream, .. }) => {
            Route::Stream { subject: subject.clone(), expected: stream.clone(), stream: named(stream.as_deref()) }
        }
        None => {
            let subject = place.subject(LaneType::Outgoing, pipeline, &out.name);
            Route::Lane { subject, stream: Rc::clone(lane_stream) }
        }
    };
    let targets = (0_u32..).zip(pipeline.outs()).map(|(number, out)| Target {
        number,
        is_only: pipeline.outs().len() == 1,
        route: route(out),
        publish_key: IdKey::new(&["lane", pipeline.name(), pipeline.revision(), &out.name]),
        delivery_key: IdKey::new(&["delivery", pipeline.name(), &out.name]),
        name: out.name.clone(),
    });
    targets.collect()
}

fn named(stream: Option<&str>) -> StreamName {
    StreamName::new(stream.map(Into::into).into())
}
