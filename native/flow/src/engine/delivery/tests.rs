//! The room from outside: what becomes of messages, by what the sink says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectors::Outcome as Said;
use message::{Code, Headers};
use nats::jetstream::AckReply;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::advance;

use super::budgets::Held;
use super::*;
use crate::compile::Pipeline;
use crate::engine::observe::{Counters, Events};
use crate::engine::registry::{Prepared, Registry, Secrets};
use crate::engine::settlement::{Input, Origin};

const HOUR: Duration = Duration::from_secs(3_600);

/// The rooms that delivery works with, and revisions of pipelines with HTTP outs.
struct World {
    settings: Settings,
    registry: Registry,
    settlement: Settlement,
    consumers: Consumers,
    delivery: Delivery,
    revision: Rc<Revision>,
    /// Every message of the wire so far: subject or reply, and header block.
    published: Vec<(String, String)>,
    sequence: u64,
}

fn run(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test());
}

fn file(customer: &str, http: &Value, outs: usize) -> Value {
    let mut out = json!({"url": "http://192.0.2.1/orders", "retry_for": "1h"});
    http.as_object().unwrap().iter().for_each(|(key, value)| out[key] = value.clone());
    let outs: BTreeMap<String, Value> = (0..outs).map(|n| (format!("erp{n}"), json!({"http": out}))).collect();
    let steps = if outs.len() > 1 { json!([{"route": [{"to": outs.keys().collect::<Vec<_>>()}]}]) } else { json!([]) };
    let input = json!({"http": {"path": "/orders"}});
    json!({"customer": customer, "pipeline": "orders", "in": input, "steps": steps, "out": outs})
}

fn prepared(file: &Value, settings: &Settings) -> Prepared {
    let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
    Prepared::new(pipeline, Secrets::default(), vec![Arc::new(Counters::default())], settings).unwrap()
}

impl World {
    fn new(http: &Value) -> World {
        World::with_outs(http, 1)
    }

    /// The first out's parked messages are known: there are none.
    fn with_outs(http: &Value, outs: usize) -> World {
        let settings = json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."});
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let delivery = Delivery::new(&settings, Tls::new(None).unwrap()).unwrap();
        let mut registry = Registry::new(0);
        let (revision, _) = registry.install(&prepared(&file("acme", http, outs), &settings), Vec::new());
        let mut settlement = Settlement::new("test", [7; 32], Arc::new(Events::default()), 1);
        settlement.subscribe(1 << 20, &mut Vec::new());
        let (consumers, published) = (Consumers::default(), Vec::new());
        let mut world = World { settings, registry, settlement, consumers, delivery, revision, published, sequence: 0 };
        world.install();
        world
    }

    fn install(&mut self) {
        let revision = Rc::clone(&self.revision);
        self.delivery.install(&mut self.settlement, &revision, false);
        for queue in (0..revision.targets.len()).map(|target| self.queue_of(target)).collect::<Vec<_>>() {
            self.poll(queue, 0);
        }
    }

    fn queue_of(&self, target: usize) -> QueueId {
        self.delivery.outs[&(self.revision.owner.id, u32::try_from(target).unwrap())]
    }

    fn queue(&mut self) -> &mut Queue {
        let id = self.queue_of(0);
        self.delivery.queues.get_mut(&id).unwrap()
    }

    fn open(&mut self, bytes: usize) -> InputRef {
        self.sequence += 1;
        let token = format!("$JS.ACK.OUT.outgoing.1.{0}.{0}.1700000000000000000.3", self.sequence);
        let owner = &self.revision.owner;
        let (origin, revision, customer) = (Origin::JetStream, owner.id, owner.customer_id);
        self.settlement.open(&Input { origin, revision, customer, bytes, token: token.as_bytes() })
    }

    /// A message of the lane, for an out of the world's revision.
    fn accept_for(&mut self, target: usize, id: &str, payload: &[u8]) {
        let revision = Rc::clone(&self.revision);
        let input = self.open(payload.len());
        let headers = Bytes::from_static(b"NATS/1.0\r\n\r\n");
        let message = OwnedMessage {
            id: id.into(),
            part: 0,
            redrive: 0,
            resume: None,
            headers,
            content_type: "".into(),
            time_ms: 1,
            payload: Bytes::new(),
        };
        let envelope = message.envelope(&revision.owner, input);
        let target = &revision.targets[target];
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.accept(settlement, consumers, &revision, &envelope, target, payload);
    }

    fn accept(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.accept_for(0, &id.to_string(), b"{}");
        }
    }

    /// A parked message comes back.
    fn parked(&mut self, id: u32, spent: Duration, sequence: u64) {
        let (queue, input) = (self.queue_of(0), self.open(2));
        let spent = spent.as_millis();
        let block =
            format!("NATS/1.0\r\nCustomer-ID: acme\r\nVrsky-Id: {id}\r\nVrsky-Part: 0\r\nVrsky-Spent: {spent}\r\n\r\n");
        let token = format!("$JS.ACK.VRSKY_PARKED.c.1.{sequence}.7.1700000000000000000.3");
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        let ack = AckReply::parse(token.as_bytes()).unwrap();
        self.delivery.on_parked(settlement, consumers, queue, input, &ack, Headers::new(block.as_bytes()), b"{}");
    }

    fn poll(&mut self, queue: QueueId, stored: u64) {
        let request = self.delivery.begin_poll(queue).expect("a breaker that is not closed");
        let response = PollResponse { stored, last_sequence: stored, is_idle: false };
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.on_polled(settlement, consumers, queue, &request, response);
    }

    /// What a new worker is given.
    fn take(&mut self) -> Vec<Queued> {
        self.take_of(self.queue_of(0))
    }

    fn take_of(&mut self, queue: QueueId) -> Vec<Queued> {
        match self.delivery.next(queue, Asking::Busy) {
            Next::Write(batch) => batch,
            Next::Wait(_) => {
                self.delivery.queues.get_mut(&queue).unwrap().no_worker_waits();
                Vec::new()
            }
            Next::End => Vec::new(),
        }
    }

    fn said(&mut self, batch: Vec<Queued>, said: impl Fn(&str) -> Said) {
        let (queue, outcomes) = (self.queue_of(0), batch.iter().map(|queued| said(&queued.message.id)).collect());
        let (settlement, consumers) = (&mut self.settlement, &mut self.consumers);
        self.delivery.on_delivered(settlement, consumers, queue, batch, outcomes);
    }

    /// Every attempt that can be made now, one worker after the other; gives whose.
    fn attempt(&mut self, said: impl Fn(&str) -> Said + Copy) -> Vec<u32> {
        let mut attempted = Vec::new();
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return attempted;
            }
            attempted.extend(batch.iter().map(number));
            self.said(batch, said);
        }
    }

    /// The subjects, or `ack` and `nak`, of what was written since the last call.
    fn written(&mut self) -> Vec<String> {
        let wire = String::from_utf8(std::mem::take(&mut self.settlement.wire)).unwrap();
        let mut subjects = Vec::new();
        for frame in wire.split("PUB ").skip(1) {
            let subject = frame.split(' ').next().unwrap().to_owned();
            self.published.push((subject.clone(), frame.to_owned()));
            subjects.push(match subject.strip_prefix("$JS.ACK.") {
                Some(_) if frame.contains("-NAK") => "nak".to_owned(),
                Some(_) => "ack".to_owned(),
                None => subject,
            });
        }
        subjects
    }

    fn count(&mut self, written: &str) -> usize {
        self.written().iter().filter(|subject| subject.starts_with(written)).count()
    }

    fn confirm_parked(&mut self, queue: QueueId) {
        while !self.delivery.queues[&queue].parking.is_settled() {
            self.delivery.on_parked_confirmed(queue, true);
        }
    }
}

fn number(queued: &Queued) -> u32 {
    queued.message.id.parse().unwrap()
}

fn fails() -> Said {
    Said::Retry { fault: Fault::new(Code::HttpServerError, "500"), after: None }
}

fn always(_: &str) -> Said {
    fails()
}

fn works(_: &str) -> Said {
    Said::Delivered
}

fn only_poison(id: &str) -> Said {
    if id.parse::<u32>().unwrap() < 10 { fails() } else { Said::Delivered }
}

#[test]
fn messages_that_always_fail_hold_up_nobody_and_die_alone() {
    run(async || {
        let mut world = World::new(&json!({"retry_for": "60s"}));
        world.accept(0..3);
        let mut delivered = BTreeSet::new();
        for round in 0..1_000_u32 {
            world.accept([round + 10]);
            delivered.extend(world.attempt(only_poison).into_iter().filter(|id| *id >= 10));
            advance(Duration::from_millis(100)).await;
        }
        delivered.extend(world.attempt(only_poison).into_iter().filter(|id| *id >= 10));
        assert_eq!(delivered, (10..1_010).collect());
        let written = world.written();
        assert_eq!(written.iter().filter(|subject| subject.starts_with("vrsky.dead.")).count(), 3);
        assert!(!written.iter().any(|subject| subject.starts_with("vrsky.parked.") || subject == "nak"));
        assert!(
            world.queue().is_done() && world.delivery.budgets.of(world.revision.owner.customer_id) == Held::default()
        );
    });
}

#[test]
fn one_that_fails_alone_is_tried_beside_the_others_with_growing_pauses() {
    run(async || {
        let mut world = World::new(&json!({}));
        world.accept([0]);
        let mut attempts = 0;
        for _ in 0..600 {
            attempts += world.attempt(only_poison).len();
            advance(Duration::from_millis(100)).await;
        }
        // After 0.1, 0.2, 0.4 ... 25.6 s, each shortened by up to a half.
        assert!((9..=12).contains(&attempts), "{attempts}");
        assert!(!world.queue().outage.is_paused());
    });
}

#[test]
fn with_one_worker_nothing_overtakes_what_has_failed() {
    run(async || {
        let mut world = World::new(&json!({"concurrency": 1, "retry_for": "1s"}));
        world.accept(9..13);
        let mut order = Vec::new();
        for _ in 0..100 {
            order.extend(world.attempt(only_poison));
            advance(Duration::from_millis(100)).await;
        }
        order.dedup();
        assert_eq!(order, [9, 10, 11, 12]);
        assert_eq!(world.count("vrsky.dead."), 1);
    });
}

#[test]
fn an_outage_is_probed_by_one_at_a_time_parks_the_rest_and_ends_with_a_success() {
    run(async || {
        let mut world = World::new(&json!({"concurrency": 4}));
        world.accept(0..100);
        let mut attempts = 0;
        for _ in 0..100 {
            attempts += world.attempt(always).len();
            advance(Duration::from_millis(100)).await;
        }
        assert!(attempts < 20, "{attempts}");
        assert_eq!(world.queue().phase(), breaker::Phase::Open);
        assert!(world.count("vrsky.parked.") >= 90);
        advance(Duration::from_secs(30)).await;
        let probe = world.take();
        assert_eq!((probe.len(), world.take().len()), (1, 0));
        world.said(probe, works);
        assert_eq!(world.queue().phase(), breaker::Phase::Draining);
        assert!(!world.queue().outage.is_paused());
    });
}

#[test]
fn what_waits_in_an_outage_has_one_attempt_of_its_own_before_it_is_given_up() {
    run(async || {
        let mut world = World::new(&json!({"retry_for": "2s", "concurrency": 4}));
        world.accept(0..50);
        let mut attempts = BTreeMap::new();
        for _ in 0..60 {
            for id in world.attempt(always) {
                *attempts.entry(id).or_insert(0) += 1;
            }
            advance(Duration::from_millis(100)).await;
        }
        let written = world.written();
        let dead = written.iter().filter(|subject| subject.starts_with("vrsky.dead.")).count();
        let parked = written.iter().filter(|subject| subject.starts_with("vrsky.parked.")).count();
        assert_eq!((dead + parked, attempts.len() >= dead), (50, true), "{dead} dead, {parked} parked");
        assert!(dead > 0 && written.iter().filter(|subject| *subject == "nak").count() == 0);
    });
}

#[test]
fn a_server_that_asks_to_wait_is_left_alone_but_keeps_no_message_beyond_its_time() {
    run(async || {
        let mut world = World::new(&json!({"retry_for": "2s", "concurrency": 4}));
        let asks = |_: &str| Said::Retry {
            fault: Fault::new(Code::HttpServerError, "503"),
            after: Some(Duration::from_secs(86_400)),
        };
        world.accept(0..10);
        let mut attempts = 0;
        for _ in 0..30 {
            attempts += world.attempt(asks).len();
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!(world.count("vrsky.dead."), 10);
        assert!(attempts <= 14, "{attempts}");
    });
}

#[test]
fn time_in_hand_and_time_parked_add_up_whatever_the_wall_clock_says() {
    run(async || {
        let mut world = World::new(&json!({"retry_for": "100s", "concurrency": 1}));
        world.accept([1]);
        world.attempt(always);
        world.settlement.set_now(9_999_999_999_999);
        advance(Duration::from_secs(50)).await;
        world.settlement.set_now(5);
        world.attempt(always);
        assert_eq!(world.count("vrsky.dead."), 0);
        let queue = world.queue_of(0);
        world.queue().breaker.filled(true);
        world.queue().breaker.failed();
        world.poll(queue, 7);
        advance(Duration::from_secs(40)).await;
        world.poll(queue, 9);
        // 30 s before, and 40 s since it was seen in the stream; one that came later has none of these.
        for (sequence, age) in [(7, 70), (8, 30)] {
            world.parked(2, Duration::from_secs(30), sequence);
            let last = world.queue().newest().unwrap();
            assert_eq!(last.age(Instant::now()).as_secs(), age);
        }
    });
}

#[test]
fn what_is_parked_says_how_long_it_was_tried_and_has_another_id_every_time() {
    run(async || {
        let mut world = World::new(&json!({"concurrency": 1}));
        world.accept([1, 2]);
        world.attempt(always);
        advance(Duration::from_secs(3)).await;
        let message = world.queue().newest().unwrap().message.clone();
        for parked_with in [None, Some(3_000), Some(3_000), Some(7_000)] {
            let (id, input, revision) = (world.queue_of(0), world.open(2), Rc::clone(&world.revision));
            let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
            let (queue, mut reach) = world.delivery.reach(settlement, consumers, id).unwrap();
            let spent = (Duration::from_millis(parked_with.unwrap_or(3_000) + 1), parked_with);
            assert!(reach.park(queue, &message.envelope(&revision.owner, input), spent, b"{}"));
        }
        world.written();
        let parked: Vec<String> = world.published.iter().map(|(_, frame)| frame.clone()).collect();
        let header = |frame: &str, name: &str| {
            let line = frame.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.trim_start_matches(name).trim().to_owned()
        };
        let ids: Vec<String> = parked.iter().map(|frame| header(frame, "Nats-Msg-Id:")).collect();
        assert!(ids[0] != ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
        assert_eq!(header(&parked[0], "Vrsky-Spent:"), "3001");
    });
}

#[test]
fn what_one_customers_outs_hold_is_bounded_and_another_customer_is_taken() {
    run(async || {
        let mut world = World::with_outs(&json!({}), 5);
        for n in 0..10_000 {
            for out in 0..5 {
                world.accept_for(out, &n.to_string(), &[b' '; 1_000]);
            }
        }
        let acme = world.revision.owner.customer_id;
        let held = world.delivery.budgets.of(acme);
        assert!((4_096..4_300).contains(&held.messages), "{held:?}");
        assert_eq!(world.count("nak"), 50_000 - held.messages);
        let (beta, _) = world.registry.install(&prepared(&file("beta", &json!({}), 1), &world.settings), Vec::new());
        world.revision = beta;
        world.install();
        world.accept(0..200);
        assert_eq!((world.queue().held().messages, world.count("nak")), (200, 0));
    });
}

#[test]
fn what_a_sink_that_hangs_cannot_take_is_parked_instead_of_coming_again_and_again() {
    run(async || {
        let mut world = World::new(&json!({"concurrency": 2}));
        world.accept(0..5_000);
        let with_sink = [world.take(), world.take()];
        assert_eq!(world.count("nak"), 5_000 - 4_096);
        advance(Duration::from_secs(6)).await;
        world.accept(5_000..6_000);
        let written = world.written();
        assert!(written.len() == 1_000 && written.iter().all(|subject| subject == "vrsky.parked.acme.orders.erp0"));
        for batch in with_sink {
            world.said(batch, works);
        }
        assert_eq!(world.queue().phase(), breaker::Phase::Draining);
    });
}

#[test]
fn parked_messages_are_asked_for_while_few_are_in_hand() {
    run(async || {
        let mut world = World::new(&json!({}));
        let queue = world.queue_of(0);
        world.queue().breaker.found();
        world.poll(queue, 10_000);
        world.poll(queue, 10_000);
        assert!(world.queue().wants_parked());
        for n in 0..64 {
            world.parked(n, HOUR / 2, u64::from(n));
        }
        assert!(!world.queue().wants_parked());
        let batch = world.take();
        world.said(batch, works);
        assert!(world.queue().wants_parked());
    });
}

#[test]
fn a_replaced_revision_delivers_what_it_has_and_leaves_what_fails_to_the_next() {
    run(async || {
        let mut world = World::new(&json!({}));
        let (old, queue) = (Rc::clone(&world.revision), world.queue_of(0));
        world.accept(0..30);
        let (with_sink, also) = (world.take(), world.take());
        world.written();
        let next = prepared(&file("acme", &json!({"timeout": "7s"}), 1), &world.settings);
        (world.revision, _) = world.registry.install(&next, Vec::new());
        world.install();
        let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
        world.delivery.retire(settlement, consumers, &old);
        // Still delivered by the old revision.
        assert_eq!(world.take_of(queue).len(), 1);
        let say = |world: &mut World, batch: Vec<Queued>, said: fn(&str) -> Said| {
            let outcomes = batch.iter().map(|queued| said(&queued.message.id)).collect();
            let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
            world.delivery.on_delivered(settlement, consumers, queue, batch, outcomes);
        };
        say(&mut world, with_sink, works);
        assert_eq!(world.written(), ["ack"]);
        say(&mut world, also, always);
        assert_eq!(world.written(), ["vrsky.parked.acme.orders.erp0"]);
        assert!(!world.delivery.is_done(queue));
        let now_closed = world.queue().phase();
        world.confirm_parked(queue);
        // The new revision's queue is told of it.
        assert_eq!((now_closed, world.queue().phase()), (breaker::Phase::Closed, breaker::Phase::Closing));
    });
}

#[test]
fn ten_thousand_reloads_leave_one_queue() {
    run(async || {
        let mut world = World::new(&json!({}));
        let both =
            ["7s", "8s"].map(|timeout| prepared(&file("acme", &json!({"timeout": timeout}), 1), &world.settings));
        for round in 0..10_000 {
            let old = Rc::clone(&world.revision);
            let (new, _) = world.registry.install(&both[round % 2], Vec::new());
            world.revision = new;
            world.delivery.install(&mut world.settlement, &world.revision, false);
            let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
            world.delivery.retire(settlement, consumers, &old);
            drop(old);
            let mut effects = Vec::new();
            world.delivery.take_effects(&mut effects);
            for effect in effects {
                if let Effect::Close { queue, .. } = effect {
                    assert!(world.delivery.is_done(queue));
                    world.delivery.forget(queue);
                }
            }
            world.registry.release(|_| false);
        }
        assert_eq!((world.registry.len(), world.delivery.queues.len()), ((1, 0), 1));
        let delivery = &world.delivery;
        assert_eq!((delivery.outs.len(), delivery.subjects.len(), delivery.streams.len()), (1, 1, 0));
    });
}

#[test]
fn the_receiver_sees_one_key_over_attempts_redrives_and_revisions() {
    run(async || {
        let mut world = World::new(&json!({}));
        world.accept([1]);
        let key = |world: &World, queued: &Queued| {
            queued.delivery_id(&world.revision, &world.revision.targets[0]).as_str().to_owned()
        };
        let mut batch = world.take();
        let first = key(&world, &batch[0]);
        batch[0].message.redrive = 3;
        assert_eq!(key(&world, &batch[0]), first);
        (world.revision, _) =
            world.registry.install(&prepared(&file("acme", &json!({"timeout": "7s"}), 1), &world.settings), Vec::new());
        assert_eq!(key(&world, &batch[0]), first);
        batch[0].message.part = 1;
        assert_ne!(key(&world, &batch[0]), first);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_message_ends_exactly_once_whatever_the_sink_says(
        acts in proptest::collection::vec((0_u8..6, 0_u64..3_000, any::<bool>()), 0..150),
        concurrency in prop_oneof![Just(1), Just(3)],
    ) {
        run(async || {
            let mut world = World::new(&json!({"concurrency": concurrency, "retry_for": "30s"}));
            let (mut next, mut with_sink, mut tried) = (0_u32, Vec::new(), BTreeSet::new());
            for (act, millis, works) in acts {
                match act {
                    0 | 1 => {
                        world.accept(next..next + 3);
                        next += 3;
                    }
                    2 | 3 if with_sink.len() < concurrency => with_sink.push(world.take()),
                    2..=4 if !with_sink.is_empty() => {
                        let batch: Vec<Queued> = with_sink.remove(0);
                        tried.extend(batch.iter().map(number));
                        world.said(batch, |_| if works { Said::Delivered } else { fails() });
                    }
                    _ => advance(Duration::from_millis(millis)).await,
                }
                assert!(world.delivery.held() <= world.settlement.ledger().len());
            }
            for batch in with_sink {
                world.said(batch, works);
            }
            // From here on the server works: all that is in hand is delivered.
            for _ in 0..50 {
                world.attempt(works);
                advance(Duration::from_secs(1)).await;
            }
            let written = world.written();
            let count = |start: &str| written.iter().filter(|subject| subject.starts_with(start)).count();
            let (acked, dead, parked) = (count("ack"), count("vrsky.dead."), count("vrsky.parked."));
            assert_eq!((acked + dead + parked, count("nak")), (next as usize, 0));
            assert!(dead <= tried.len());
            assert_eq!(world.queue().held(), Held::default());
        });
    }
}
