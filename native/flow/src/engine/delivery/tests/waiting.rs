//! What is parked, held back, replaced, and how everything ends.

use super::*;
use crate::engine::delivery::batching::Batching;

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
        // In the lane, then as the stream of the parked ones has brought it, and so on; the second one twice.
        let brought = ["acme.1", "acme.2", "acme.2", "acme.3"];
        for id in brought {
            let block = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
            let (id, input, revision) = (world.queue_of(0), world.open(2), Rc::clone(&world.revision));
            let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
            let (queue, mut reach) = world.delivery.reach(settlement, consumers, id).unwrap();
            let headers = message::Headers::new(block.as_bytes());
            let envelope = Envelope { headers, ..message.envelope(&revision.owner, input) };
            assert!(reach.park(queue, &envelope, Duration::from_millis(3_001), b"{}"));
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
        batch in prop_oneof![Just((1, 0)), Just((7, 0)), Just((7, 700))],
    ) {
        run(async || {
            let batching = match batch {
                (1, _) => Batching::new(1, None),
                (messages, millis) => {
                    Batching { messages, bytes: 20, wait: Duration::from_millis(millis), is_request: true }
                }
            };
            let mut world = batches::world(&json!({"concurrency": concurrency, "retry_for": "30s"}), batching);
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

#[test]
fn what_waits_behind_the_parked_ones_does_not_keep_them_out() {
    run(async || {
        let mut world = World::new(&json!({}));
        let queue = world.queue_of(0);
        world.queue().breaker.found();
        world.poll(queue, 20);
        for n in 0..40 {
            world.accept_for(0, &n.to_string(), &vec![b' '; 1 << 20]);
        }
        assert!(world.queue().phase() != breaker::Phase::Closed && world.queue().held().bytes >= 32 << 20);
        assert!(world.queue().parking.asks_for() > Some(1));
        // Nor does what others hold; then they come one by one.
        for customer in 100..400 {
            world.delivery.budgets.add(CustomerId(customer), 1 << 20);
        }
        for number in 0..20 {
            world.poll(queue, 20 - u64::from(number));
            assert_eq!(world.queue().parking.asks_for(), Some(1));
            world.parked(1_000 + number, HOUR / 2, u64::from(number));
            assert_eq!(world.queue().parking.asks_for(), None);
            assert_eq!(world.attempt(works), [1_000 + number]);
        }
        world.poll(queue, 0);
        assert_eq!(world.attempt(works).first(), Some(&0));
    });
}

#[test]
fn what_was_given_to_another_thread_counts_in_what_a_queue_holds() {
    run(async || {
        let mut world = World::new(&json!({"url": "http://192.0.2.1/{n}"}));
        for n in 0..40 {
            world.accept_for(0, &n.to_string(), &vec![b' '; (1 << 20) + 1]);
        }
        assert_eq!((world.queue().held().messages, world.count("nak")), (32, 8));
        world.urls_are_found();
        assert_eq!(world.queue().held().messages, 32);
        assert_eq!(world.attempt(works).len(), 32);
        let acme = world.revision.owner.customer_id;
        assert_eq!((world.queue().held(), world.delivery.budgets.of(acme)), (Held::default(), Held::default()));
    });
}

#[test]
fn a_replaced_revision_parks_what_comes_back_from_another_thread() {
    run(async || {
        let mut world = World::new(&json!({"url": "http://192.0.2.1/{n}", "concurrency": 1}));
        let (old, queue) = (Rc::clone(&world.revision), world.queue_of(0));
        for n in 0..20 {
            world.accept_for(0, &n.to_string(), &vec![b' '; (1 << 20) + 1]);
        }
        world.queue().breaker.filled(true);
        for n in 20..400 {
            world.accept_for(0, &n.to_string(), br#"{"n": 1}"#);
        }
        assert!(world.queue().parking.is_full());
        let (settlement, consumers) = (&mut world.settlement, &mut world.consumers);
        world.delivery.retire(settlement, consumers, &old);
        world.urls_are_found();
        world.confirm_parked(queue);
        assert!(world.delivery.is_done(queue));
        assert_eq!(world.count("vrsky.parked."), 400);
    });
}
