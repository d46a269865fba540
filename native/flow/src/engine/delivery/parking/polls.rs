//! What the look at the parked messages, and each of them, changes in a queue.

use super::*;

impl Reach<'_> {
    pub(super) fn take_parked(
        &mut self,
        queue: &mut Queue,
        number: u64,
        input: InputRef,
        ack: &AckReply<'_>,
        headers: message::Headers<'_>,
        payload: &[u8],
    ) {
        let revision = Rc::clone(&queue.revision);
        let (owner, parsed) = (&revision.owner, ParsedHeaders::of(headers));
        let place = owner.place(ack);
        let envelope = Envelope {
            owner,
            input,
            id: parsed.lane_id().unwrap_or(place.as_str()),
            part: parsed.part.unwrap_or_default(),
            redrive: parsed.redrive,
            resume: parsed.resume,
            headers,
            foreign: parsed.foreign,
            content_type: parsed.content_type.unwrap_or_default(),
            time_ms: parsed.time_ms.unwrap_or(self.settlement.now_ms()),
        };
        if parsed.customer != Some(owner.customer()) {
            let fault = Fault::new(Code::TenantMismatch, "a parked message of another customer");
            return self.dead_letter(queue, &envelope, &fault, payload);
        }
        let attempts = queue.parking.attempts_of(ack.stream_sequence);
        if attempts > 0 && queue.outage.is_paused() && !queue.outage.keeps_order() && queue.tried_parked() >= MAX_TRIED
        {
            let fault = Fault::new(Code::LimitMemory, "others that have failed are tried first");
            return self.settlement.settle(input, Outcome::Retry(TRIED_DELAY, fault));
        }
        let address = match self.address(queue, &envelope, payload) {
            Ok(address) => address,
            Err(fault) => return self.dead_letter(queue, &envelope, &fault, payload),
        };
        queue.parking.note_size(payload.len());
        let spent = Duration::from_millis(parsed.spent_ms.unwrap_or_default())
            + queue.parking.ages.of(ack.stream_sequence, self.now);
        let message = OwnedMessage::of(&envelope, bytes::Bytes::copy_from_slice(payload));
        let since = self.now;
        self.push(
            queue,
            Queued {
                number,
                input,
                message,
                address,
                since,
                spent,
                is_parked: true,
                place: ack.stream_sequence,
                attempts,
            },
        );
    }

    /// Publishes a message to the parked ones; its input is acked with the PubAck.
    /// `false` when that cannot be done now.
    pub(in crate::engine::delivery) fn park(
        &mut self,
        queue: &mut Queue,
        envelope: &Envelope<'_>,
        spent: Duration,
        payload: &[u8],
    ) -> bool {
        let parking =
            settlement::Parking { queue: queue.id, subject: &queue.parking.subject, key: &queue.parking.key, spent };
        let parked = self.settlement.park(envelope, &parking, payload);
        if parked {
            queue.parking.published += 1;
            queue.parking.unconfirmed += 1;
        }
        parked
    }

    /// The breaker parks from now on: so does what waits behind the batch that probes.
    pub(in crate::engine::delivery) fn opened(&mut self, queue: &mut Queue) {
        queue.parking.since = Some(self.now);
        if queue.breaker.announce() {
            let fault = queue.parking.last_fault.as_ref();
            self.report(queue, EventKind::Parking, fault);
        }
        supervise(queue, self.effects);
        queue.outlet.changed.notify_one();
        // At the end of a run everything goes back to the lane. What a sink that hangs has been given stays with it.
        if !self.draining && queue.outage.is_paused() {
            queue.hold_surplus();
            self.park_behind(queue);
        }
    }

    /// What is held: to the parked ones, so many at a time. A node that is killed meanwhile doubles no more.
    pub(super) fn park_behind(&mut self, queue: &mut Queue) {
        while queue.place() == Place::Parked && !queue.parking.is_full() && !self.draining {
            let Some(queued) = queue.take_first_behind() else { return };
            let revision = Rc::clone(&queue.revision);
            let spent = queued.age(self.now);
            if !self.park(queue, &queued.envelope(&revision), spent, &queued.message.payload) {
                return queue.hold_first(queued);
            }
            self.budgets.remove(queue.revision.owner.customer_id, queued.bytes());
        }
    }

    /// `untried`: of what is stored.
    pub(super) fn polled(&mut self, queue: &mut Queue, untried: u64, quiet: bool) {
        let stored = queue.parking.stored;
        if stored == 0 {
            queue.parking.ages.clear();
            queue.parking.tried.clear();
        }
        let closed = queue.breaker.polled(Poll { stored, untried, quiet, idle: queue.is_idle() });
        if let Some(is_news) = closed {
            queue.release();
            if is_news {
                self.report(queue, EventKind::Resumed, None);
            }
        }
        self.park_behind(queue);
        if stored > 0 && queue.parking.pull.is_none() && !queue.retired {
            self.add_pull(queue);
        }
    }

    pub(super) fn add_pull(&mut self, queue: &mut Queue) {
        let (feed, settlement) = (Feed::Parked(queue.id), &*self.settlement);
        let consumer = &queue.parking.consumer;
        let number = self.consumers.add_pull(feed, subjects::PARKED, consumer, |number| settlement.pull_reply(number));
        if self.settlement.is_connected() {
            self.consumers.subscribe_pull(number, &mut self.settlement.wire);
        }
        (queue.parking.pull, queue.parking.batch) = (Some(number), None);
    }

    /// Asks for parked messages while there is use for them.
    pub(in crate::engine::delivery) fn set_pull(&mut self, queue: &mut Queue) {
        let Some(number) = queue.parking.pull else { return };
        // What waits behind the parked ones must not keep them out: neither here, nor in the customer's other queues.
        let ahead = queue.held_ahead();
        let has_room = self.budgets.admits(queue.revision.owner.customer_id, ahead);
        let batch = if has_room { queue.parking.batch(queue.phase()) } else { PROBE_BATCH };
        let batch = ((has_room || ahead == Held::default()) && queue.wants_parked()).then_some(batch);
        if batch == queue.parking.batch {
            return;
        }
        queue.parking.batch = batch;
        self.consumers.set_pull(number, batch.is_some());
        if let Some(batch) = batch {
            self.consumers.set_batch(number, batch);
            self.effects.push(Effect::TopUp);
        }
    }

    /// A replaced revision leaves what waits to the one after it: parked, or given back to its stream.
    pub(in crate::engine::delivery) fn hand_over(&mut self, queue: &mut Queue, queued: &Queued) {
        let revision = Rc::clone(&queue.revision);
        let spent = queued.age(self.now);
        if !queued.is_parked && self.park(queue, &queued.envelope(&revision), spent, &queued.message.payload) {
            return self.release(queue, queued);
        }
        let fault = Fault::new(Code::TenantUnknownPipeline, "its revision was replaced");
        self.give_back(queue, queued, Duration::ZERO, fault);
    }

    pub(super) fn report(&self, queue: &Queue, kind: EventKind, fault: Option<&Fault>) {
        let now_ms = self.settlement.now_ms();
        self.settlement.events().push_rare(|| {
            let event = Event::about(kind, now_ms, &queue.revision.owner.pipeline, "").at(queue.name(), 0);
            match fault {
                Some(fault) => event.with_fault(fault),
                None => event,
            }
        });
    }
}
