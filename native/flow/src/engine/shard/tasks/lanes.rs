//! Looks at streams of ours: how full the backlogs are, and what was set aside.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Parts, Shard};
use super::clock::every;
use crate::engine::consumers::Feed;
use crate::engine::ids::{Id, IdKey};
use crate::engine::nats_api::{Unknown, has_stream, make_consumer, stored, stored_under};
use crate::engine::registry::Revision;
use crate::engine::settings::NodeType;
use crate::engine::subjects;

/// Set-aside messages are looked for so often, in seconds.
const LOOK_ASIDE: u64 = 10;
/// The consumer of set-aside messages goes by itself when nobody has used it for so long.
const CONSUMER_LIFE: Duration = Duration::from_secs(3600);

/// Once a second, for as long as the shard lives. No tick waits for it.
pub async fn look(shard: Rc<Shard>) {
    let mut interval = every(Duration::from_secs(1));
    for second in 0_u64.. {
        interval.tick().await;
        refresh_backlogs(&shard).await;
        if second.is_multiple_of(LOOK_ASIDE) {
            look_for_leftovers(&shard).await;
            look_aside(&shard).await;
            look_for_nats_outs(&shard).await;
        }
    }
}

async fn refresh_backlogs(shard: &Rc<Shard>) {
    let revisions = shard.parts.borrow().to_refresh();
    for revision in revisions {
        match fullest(shard, &revision).await {
            Ok(waiting) => revision.backlog_full.set(waiting >= revision.pipeline().backlog()),
            Err(Unknown::Refused(_)) => {}
            Err(Unknown::NoAnswer) => return,
        }
    }
}

/// How many messages wait in the lane of the in, or of the run of steps where more do.
async fn fullest(shard: &Shard, revision: &Revision) -> Result<u64, Unknown> {
    let mut most = stored(&shard.outbox, &revision.in_stream, &revision.in_subject).await?;
    for lane in revision.step_lanes.iter().filter(|lane| lane.subject != revision.in_subject) {
        most = most.max(stored(&shard.outbox, &lane.stream, &lane.subject).await?);
    }
    Ok(most)
}

/// Lanes of another topology, which a deployment has left behind or is about to leave: what is in them is taken, or
/// nobody would. They are there or not; none is made.
async fn look_for_leftovers(shard: &Rc<Shard>) {
    let settings = Arc::clone(&shard.parts.borrow().settings);
    for (lane_type, tier) in
        settings.leftover_lanes().iter().flat_map(|one| settings.tiers.iter().map(move |t| (*one, t)))
    {
        for lane in settings.lanes() {
            let stream = subjects::stream(lane_type, tier, &lane);
            if shard.parts.borrow().consumers.has_stream(&stream) {
                continue;
            }
            match has_stream(&shard.outbox, &stream).await {
                Ok(true) => shard.with(|parts| parts.pull_lane(lane_type, &stream)),
                Ok(false) | Err(Unknown::Refused(_)) => {}
                Err(Unknown::NoAnswer) => return,
            }
        }
    }
}

/// Messages that were set aside while their pipeline was not here: it takes them up again.
async fn look_aside(shard: &Rc<Shard>) {
    if !shard.parts.borrow().settings.serves_steps() {
        return;
    }
    let Ok(waiting) = stored_under(&shard.outbox, subjects::PARKED, subjects::ALL_ASIDE).await else { return };
    for (subject, count) in waiting {
        let Some((customer, pipeline)) = subjects::parse_aside(&subject) else { continue };
        if count > 0 && shard.parts.borrow().is_waited_for(customer, pipeline) {
            // A hash: two names in one could be read in more than one way.
            let id = Id::derived(customer, &IdKey::new(&["aside consumer", pipeline]), "", 0, 0);
            let consumer = id.as_str().replace('.', "_");
            let made = make_consumer(&shard.outbox, subjects::PARKED, &consumer, &subject, Some(CONSUMER_LIFE)).await;
            if made.is_ok() {
                // Meanwhile the pipeline may have another revision, or none.
                shard.with(|parts| parts.pull_aside(customer, pipeline, &consumer));
            }
        }
    }
}

/// Parked messages of NATS outs: an out of another kind had this name, or the pipeline was not here.
async fn look_for_nats_outs(shard: &Rc<Shard>) {
    if !shard.parts.borrow().has_nats_outs() {
        return;
    }
    let Ok(waiting) = stored_under(&shard.outbox, subjects::PARKED, subjects::ALL_PARKED).await else { return };
    for (subject, count) in waiting {
        let Some(out) = subjects::parse_parked(&subject) else { continue };
        if count > 0 && shard.parts.borrow().unpulled_nats(out).is_some() {
            let consumer = subjects::parked_consumer(out.0, out.1, out.2);
            let made = make_consumer(&shard.outbox, subjects::PARKED, &consumer, &subject, Some(CONSUMER_LIFE)).await;
            if made.is_ok() {
                shard.with(|parts| parts.pull_parked_nats(out, &consumer));
            }
        }
    }
}

impl Parts {
    /// Pipelines that took something in since the last look and whose own cap lies below their
    /// tier's, which the stream itself enforces.
    fn to_refresh(&self) -> Vec<Rc<Revision>> {
        let active = self.registry.active();
        active
            .filter(|one| one.has_own_backlog && (one.active.take() || one.backlog_full.get()))
            .map(Rc::clone)
            .collect()
    }

    /// Whether this node delivers to NATS outs.
    fn has_nats_outs(&self) -> bool {
        let is_nats = |revision: &Rc<Revision>| revision.pipeline().outs().iter().any(|out| out.publish().is_some());
        self.settings.serves(NodeType::Outgoing) && self.registry.active().any(is_nats)
    }

    /// Whether a pipeline is here whose set-aside messages are not pulled yet.
    fn is_waited_for(&self, customer: &str, pipeline: &str) -> bool {
        let revision = self.registry.named(customer, pipeline);
        revision.is_some_and(|revision| !self.consumers.has_pull(Feed::Aside(revision.owner.id)))
    }
}
