use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectors::{Health, Incoming, LocalFuture, Read, Settled, Source};
use message::{Code, Fault};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::own::{Effect, Turn};
use super::{Ingress, SourceId};
use crate::compile::Pipeline;
use crate::engine::observe::{Counters, Events};
use crate::engine::registry::{Prepared, Registry, Revision, Secrets};
use crate::engine::settlement::Settlement;

/// A source that only says what it was told.
#[derive(Default)]
struct Recorder {
    outcomes: RefCell<Vec<(u64, &'static str)>>,
    retries: RefCell<Vec<Duration>>,
}

impl Source for Recorder {
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn read_batch(&self, _: usize, _: usize, _: Duration) -> LocalFuture<'_, Read> {
        Box::pin(std::future::pending())
    }

    fn settle(&self, item: u64, outcome: Settled) {
        if let Settled::Refused { retry_after: Some(after), .. } = &outcome {
            self.retries.borrow_mut().push(*after);
        }
        let outcome = match outcome {
            Settled::Stored { .. } => "stored",
            Settled::Refused { .. } => "refused",
            Settled::Returned { .. } => "returned",
        };
        self.outcomes.borrow_mut().push((item, outcome));
    }

    fn close(&self, _: Duration) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Room {
    settlement: Settlement,
    registry: Registry,
    ingress: Ingress,
    source: Rc<Recorder>,
    revision: Rc<Revision>,
    id: SourceId,
}

fn install(registry: &mut Registry, limits: &Value) -> Rc<Revision> {
    let file = json!({"customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/x"}},
        "out": {"stdout": {}}, "limits": limits});
    let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
    let settings = serde_json::from_value(json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."})).unwrap();
    let counters = vec![Arc::new(Counters::default())];
    registry.install(&Prepared::new(pipeline, Secrets::default(), counters, &settings).unwrap(), Vec::new()).0
}

impl Room {
    fn new(limits: &Value) -> Room {
        let mut registry = Registry::new(0);
        let revision = install(&mut registry, limits);
        let mut settlement =
            Settlement::new("test", [7; 32], fastrand::Rng::with_seed(7), Arc::new(Events::default()), 1);
        settlement.subscribe(8 << 20, &mut Vec::new());
        let (mut ingress, source) = (Ingress::default(), Rc::<Recorder>::default());
        ingress.own.open(&revision, Rc::clone(&source) as Rc<dyn Source>, None, true);
        let [Effect::Run { id, after: None, .. }] = ingress.own.take_effects()[..] else { panic!() };
        Room { settlement, registry, ingress, source, revision, id }
    }

    fn offer(&mut self, payloads: &[&[u8]]) -> (Option<Duration>, usize) {
        let one = |(item, payload): (u64, &&[u8])| Incoming {
            item,
            binding: 0,
            payload: Bytes::copy_from_slice(payload),
            headers: Vec::new(),
            content_type: "application/json".into(),
            idempotency_key: None,
            place: Some(format!("file:{item}").into()),
            fault: None,
        };
        self.offer_all((1..).zip(payloads).map(one).collect())
    }

    fn offer_all(&mut self, mut batch: VecDeque<Incoming>) -> (Option<Duration>, usize) {
        let pause = self.ingress.offer(&mut self.settlement, &self.registry, self.id, &mut batch);
        (pause, batch.len())
    }

    /// What was published meanwhile, as text.
    fn wire(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.settlement.wire)).into_owned()
    }
}

fn run(test: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async { test() });
}

#[test]
fn no_two_sources_have_a_message_of_the_same_number() {
    run(|| {
        let room = Room::new(&json!({}));
        assert_ne!(room.id, SourceId::SHARED);
        assert_eq!(SourceId::of(room.id.item(7)), (room.id, 7));
        let shared = (u64::MAX >> 1) - 7;
        assert_eq!(SourceId::of(shared), (SourceId::SHARED, shared));
    });
}

#[test]
fn a_message_is_published_under_an_id_of_its_place() {
    run(|| {
        let ids: Vec<String> = (0..2)
            .map(|_| {
                let mut room = Room::new(&json!({}));
                assert_eq!(room.offer(&[b"{}", b"{}"]), (None, 0));
                let wire = room.wire();
                let ids: Vec<&str> = wire.lines().filter(|line| line.starts_with("Nats-Msg-Id:")).collect();
                assert!(ids.len() == 2 && ids[0] != ids[1], "{wire}");
                ids.join(" ")
            })
            .collect();
        assert_eq!(ids[0], ids[1], "read again, it is the same message");
    });
}

#[test]
fn what_the_pipeline_may_not_take_yet_waits_in_its_order() {
    run(|| {
        let mut room = Room::new(&json!({"rate": "1/h"}));
        let (pause, left) = room.offer(&[b"1", b"2", b"3"]);
        assert!(pause.is_some_and(|pause| pause > Duration::from_secs(60)) && left == 2, "{pause:?} {left}");
        assert_eq!(room.ingress.own.health(&room.revision), Some(Health::Failing(Code::LimitRate)));
        assert!(room.source.outcomes.borrow().is_empty(), "nothing is refused");
    });
}

#[test]
fn a_message_that_no_stream_takes_is_a_dead_letter_and_not_read_for_ever() {
    run(|| {
        let mut room = Room::new(&json!({"bytes": 16}));
        assert_eq!(room.offer(&[b"{\"a\": \"longer than that\"}"]), (None, 0));
        let wire = room.wire();
        assert!(wire.contains("vrsky.dead.acme.orders.in") && wire.contains("connector/too-large"), "{wire}");
    });
}

#[test]
fn what_the_source_says_is_no_message_is_a_dead_letter_with_the_reason_and_its_headers() {
    run(|| {
        let mut room = Room::new(&json!({}));
        let incoming = Incoming {
            item: 1,
            binding: 0,
            payload: Bytes::from_static(b"a;b;c"),
            headers: b"File-Name: a.csv\r\n".to_vec(),
            content_type: "text/csv".into(),
            idempotency_key: None,
            place: Some("file:1".into()),
            fault: Some(Fault::new(Code::ConvertCsvColumns, "3 fields").at_offset(7)),
        };
        assert_eq!(room.offer_all(VecDeque::from([incoming])), (None, 0));
        let wire = room.wire();
        for part in ["vrsky.dead.acme.orders.in", "convert/csv-columns", "File-Name: a.csv", "\r\n\r\na;b;c\r\n"] {
            assert!(wire.contains(part), "{part} in {wire}");
        }
    });
}

#[test]
fn a_message_with_more_headers_than_a_stream_takes_is_a_dead_letter() {
    run(|| {
        for (headers, content_type) in [(65_000, 10), (10, 65_000)] {
            let mut room = Room::new(&json!({}));
            let incoming = Incoming {
                item: 1,
                binding: 0,
                payload: Bytes::from_static(b"{}"),
                headers: format!("Mqtt-Topic: {}\r\n", "t".repeat(headers)).into_bytes(),
                content_type: "c".repeat(content_type).into(),
                idempotency_key: None,
                place: None,
                fault: None,
            };
            assert_eq!(room.offer_all(VecDeque::from([incoming])), (None, 0));
            let wire = room.wire();
            for part in ["vrsky.dead.acme.orders.in", "nats/max-headers", "\r\n\r\n{}\r\n"] {
                assert!(wire.contains(part), "{part} in {:.2000}", wire);
            }
            assert!(wire.len() < 3_000, "{}", wire.len());
        }
    });
}

#[test]
fn a_source_goes_on_for_the_next_revision_or_has_its_messages_back() {
    run(|| {
        let mut room = Room::new(&json!({}));
        let next = install(&mut room.registry, &json!({"backlog": 7}));
        assert!(room.ingress.own.hand_over(&room.revision, &next));
        assert_eq!(room.offer(&[b"{}"]), (None, 0));
        room.ingress.own.retire(&room.revision);
        assert!(room.ingress.is_read(room.id), "the earlier revision has nothing to end");
        room.ingress.own.retire(&next);
        assert!(matches!(room.ingress.own.take_effects()[..], [Effect::Close { .. }]));
        assert_eq!(room.offer(&[b"1", b"2"]), (None, 0));
        assert_eq!(*room.source.outcomes.borrow(), [(1, "returned"), (2, "returned")]);
    });
}

#[test]
fn the_next_source_of_a_pipeline_waits_for_the_end_of_the_one_before() {
    run(|| {
        let mut room = Room::new(&json!({}));
        let next = install(&mut room.registry, &json!({"bytes": 99}));
        room.ingress.own.open(&next, Rc::<Recorder>::default(), Some(&room.revision), false);
        let [Effect::Run { after: Some(ref ended), .. }] = room.ingress.own.take_effects()[..] else { panic!() };
        let mut waiting = Box::pin(ended.wait());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        room.ingress.own.forget(room.id);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    });
}

#[test]
fn when_a_lease_is_over_its_sources_end_at_once_and_the_next_ones_wait_for_them() {
    run(|| {
        let mut room = Room::new(&json!({}));
        let not_leased = install(&mut room.registry, &json!({"bytes": 99}));
        room.ingress.own.open(&not_leased, Rc::<Recorder>::default(), None, false);
        room.ingress.own.take_effects();
        assert_eq!(room.offer(&[b"{}"]), (None, 0));
        assert_eq!(room.ingress.own.retire_leased().into_iter().collect::<Vec<_>>(), [room.id]);
        assert!(!room.ingress.is_read(room.id));
        let effects = room.ingress.own.take_effects();
        assert!(matches!(effects[..], [Effect::Close { deadline: Duration::ZERO, .. }]));
        assert_eq!(room.offer(&[b"1"]), (None, 0));
        assert_eq!(*room.source.outcomes.borrow(), [(1, "returned")], "nothing more is published of it");
        assert_eq!(room.ingress.own.leaving("acme", "orders").len(), 1);
        assert!(room.ingress.own.retire_leased().is_empty());
        room.ingress.own.open(&not_leased, Rc::<Recorder>::default(), None, true);
        assert!(matches!(room.ingress.own.take_effects()[..], [Effect::Run { after: Some(_), .. }]));
        room.ingress.own.forget(room.id);
        assert!(room.ingress.own.leaving("acme", "orders").is_empty());
    });
}

#[test]
fn a_source_whose_lane_is_full_is_tried_again_soon_and_reads_less_until_then() {
    run(|| {
        let mut room = Room::new(&json!({}));
        let own = &mut room.ingress.own;
        let Turn::Read(all) = own.turn(room.id) else { panic!() };
        let full = |retry_after| Settled::Refused { fault: Fault::new(Code::LimitBacklog, "full"), retry_after };
        for item in 1..=3 {
            own.take(room.id, item, 2);
            own.settle(room.id, item, full(Some(Duration::from_secs(1))));
        }
        assert_eq!(*room.source.retries.borrow(), [Duration::from_millis(10); 3]);
        let Turn::Wait { until: Some(until), .. } = own.turn(room.id) else { panic!() };
        assert_eq!(until - Instant::now(), Duration::from_millis(10));
        own.retire(&room.revision);
        assert!(matches!(own.turn(room.id), Turn::Read(less) if less < all), "one that leaves does not wait");
    });
}
