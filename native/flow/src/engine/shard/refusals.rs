//! What the server complains about, and whose outs and ins it concerns.

use std::rc::Rc;

use message::{Code, Fault};
use nats::{Refusal, ServerError};

use super::Parts;
use crate::engine::message::{RevisionId, Route};
use crate::engine::observe::{Event, EventKind, Metric};

impl Parts {
    /// The server complained. What is refused again and again is reported once.
    pub fn on_server_error(&mut self, error: &ServerError) {
        let is_news = match error.refusal() {
            Some(Refusal::Publish(subject)) => self.on_publish_refused(subject, &error.fault()),
            Some(Refusal::Subscription(subject)) => self.on_subscription_refused(subject),
            None => true,
        };
        if is_news {
            self.node_event(EventKind::Node, &error.fault());
        }
    }

    fn on_subscription_refused(&mut self, subject: &str) -> bool {
        let is_news = self.settlement.on_subscription_refused(subject);
        is_news.unwrap_or_else(|| self.consumers.refuse_subject(subject, self.settlement.tick()))
    }

    fn on_publish_refused(&mut self, subject: &str, fault: &Fault) -> bool {
        if let Some(is_news) = self.consumers.refuse_publish(subject, self.settlement.tick()) {
            return is_news;
        }
        if self.settlement.refuse_tap(subject) {
            return true;
        }
        let is_news = self.settlement.on_publish_refused(subject);
        let tick = self.settlement.tick();
        for revision in self.registry.active() {
            if revision.stores_at(subject) {
                revision.backpressure.refuse_intake(fault.code(), tick);
            }
            if revision.step_lanes.iter().any(|lane| lane.subject == subject) {
                revision.owner.counters.add(Metric::Retried, 1);
                self.report_refused(revision, None, fault);
            }
            for target in &revision.targets {
                let is_refused = match &target.route {
                    Route::Stream { subject: to, .. } | Route::Lane { subject: to, .. } => to == subject,
                    Route::Core { .. } => false,
                };
                if is_refused {
                    revision.owner.counters.add(Metric::Retried, 1);
                    self.settlement.meters().retried(fault.code());
                    self.report_refused(revision, Some(target.number), fault);
                }
            }
        }
        is_news
    }

    /// The server may permit by now what it has refused: the marker behind a try says so.
    pub(super) fn try_refused(&mut self) {
        let tick = self.settlement.tick();
        if self.settlement.is_connected() && self.consumers.has_to_try(tick) {
            let marker = self.settlement.fence();
            self.consumers.try_refused(tick, marker, &mut self.settlement.wire);
        }
    }

    pub(super) fn count_delivered_core(&self, revision: RevisionId, count: u64, bytes: u64) {
        if let Some(revision) = self.registry.get(revision) {
            revision.backpressure.accepted();
            revision.owner.counters.add(Metric::Delivered, count);
            revision.owner.counters.add(Metric::DeliveredBytes, bytes);
        }
    }

    /// Publishes to core NATS that the server has refused are nowhere any more.
    pub(super) fn on_lost_core(&mut self, revision: RevisionId, target: u32, count: u64) {
        let Some(revision) = self.registry.get(revision).map(Rc::clone) else { return };
        revision.owner.counters.add(Metric::Lost, count);
        let fault = Fault::new(Code::NatsAuthorization, "the server does not permit a publish to its subject");
        if revision.backpressure.refused(fault.code(), Some(target), self.settlement.tick()) {
            let name = revision.targets.get(target as usize).map_or("", |out| &out.name);
            self.settlement.events().push_rare(|| {
                let pipeline = &revision.owner.pipeline;
                Event::about(EventKind::Lost, self.settlement.now_ms(), pipeline, "").at(name, 0).with_fault(&fault)
            });
        }
    }
}
