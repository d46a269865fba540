//! Makes consumers again that are gone: deleted by a person, or with a stream, or by a server that came back empty.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::Outbox;

use super::super::{Parts, Shard};
use crate::engine::consumers::{Feed, LostConsumer};
use crate::engine::nats_api::{Unknown, restore_consumer};
use crate::engine::observe::{Event, EventKind};
use crate::engine::registry::Revision;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Tries until the consumer of a pull is there, or nobody wants its messages. `vrsky run` makes missing streams of
/// ours; a user's stream is waited for.
pub async fn repair(shard: Rc<Shard>, number: u64) {
    while let Some(lost) = shard.with(|parts| parts.lost_consumer(number)) {
        let revision = shard.parts.borrow().source_of(lost.feed);
        match restore(&shard.outbox, &lost, revision.as_deref()).await {
            Ok(was_gone) => return shard.with(|parts| parts.on_repaired(number, &lost, was_gone)),
            Err(unknown) => shard.with(|parts| parts.on_unrepaired(number, &lost, unknown)),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn restore(outbox: &Outbox, lost: &LostConsumer, source: Option<&Revision>) -> Result<bool, Unknown> {
    let subject = source.and_then(|revision| Some(revision.pipeline().subscription()?.subject.as_str()));
    let owner = source.map(|revision| (revision.owner.customer(), revision.owner.name()));
    restore_consumer(outbox, (&lost.stream, &lost.consumer), subject, owner).await
}

impl Parts {
    /// What a lost pull needs. The pull of set-aside messages is closed, and that of a lane of another topology: another
    /// look at them begins a new one.
    fn lost_consumer(&mut self, number: u64) -> Option<LostConsumer> {
        let lost = self.consumers.lost(number)?;
        let is_leftover = matches!(lost.feed, Feed::Lane(one) if self.settings.leftover_lanes().contains(&one));
        if is_leftover || matches!(lost.feed, Feed::Aside(_) | Feed::ParkedNats(..)) {
            self.consumers.close_pulls(lost.feed, self.settlement.tick(), &mut self.settlement.wire);
            return self.consumers.lost(number);
        }
        Some(lost)
    }

    /// The revision whose own in it is; none for a lane.
    fn source_of(&self, feed: Feed) -> Option<Rc<Revision>> {
        let Feed::Source(revision) = feed else { return None };
        self.registry.get(revision).map(Rc::clone)
    }

    fn on_repaired(&mut self, number: u64, lost: &LostConsumer, was_gone: bool) {
        self.consumers.on_repaired(number);
        if was_gone {
            let LostConsumer { stream, consumer, .. } = lost;
            self.report_lost(lost.feed, |event| {
                event.because(&format!("the consumer {consumer} of the stream {stream} was gone, and is made again"))
            });
        }
        self.top_up();
    }

    fn on_unrepaired(&mut self, number: u64, lost: &LostConsumer, unknown: Unknown) {
        let fault = match unknown {
            Unknown::NoAnswer if self.may_not_make(lost) => {
                Fault::new(Code::NatsAuthorization, "the server does not permit to make its consumer")
            }
            Unknown::NoAnswer => Fault::new(Code::NatsTimeout, "JetStream does not answer"),
            Unknown::Refused(fault) => fault,
        };
        if self.consumers.on_unrepaired(number, fault.code()) && self.settlement.is_connected() {
            let reason = format!("nothing comes from the stream {}: {}", lost.stream, fault.reason());
            let fault = Fault::new(fault.code(), reason);
            self.report_lost(lost.feed, |event| event.with_fault(&fault));
        }
    }

    fn may_not_make(&self, lost: &LostConsumer) -> bool {
        let verb = format!("CONSUMER.CREATE.{}.{}", lost.stream, lost.consumer);
        self.settlement.refuses(&self.consumers.api().subject(&verb))
    }

    fn report_lost(&self, feed: Feed, tell: impl FnOnce(Event) -> Event) {
        let revision = feed.revision().unwrap_or_default();
        let (revision, now_ms) = (self.registry.get(revision), self.settlement.now_ms());
        self.settlement.events().push_rare(|| {
            tell(match revision {
                Some(revision) => Event::about(EventKind::Node, now_ms, &revision.owner.pipeline, "").at("in", 0),
                None => Event::of_node(EventKind::Node, now_ms),
            })
        });
    }
}
