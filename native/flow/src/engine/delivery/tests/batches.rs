//! Messages that share a request: which, when they go, and what becomes of them when one of them spoils it.

use super::*;
use crate::engine::delivery::batching::Batching;

const WAIT: Duration = Duration::from_secs(1);
const THREE: Batching = Batching { messages: 3, bytes: 1 << 20, wait: WAIT, is_request: true };

/// A world whose first out has batches.
pub fn world(http: &Value, batching: Batching) -> World {
    let mut world = World::new(http);
    // Nothing else holds the sink then.
    world.delivery.take_effects(&mut Vec::new());
    Rc::get_mut(&mut world.queue().outlet).unwrap().batching = batching;
    world
}

fn numbers(batch: &[Queued]) -> Vec<u32> {
    batch.iter().map(number).collect()
}

fn take(world: &mut World) -> Vec<u32> {
    numbers(&world.take())
}

/// The server takes a request only without the message 0.
fn answer(world: &mut World, batch: Vec<Queued>) {
    let is_spoilt = numbers(&batch).contains(&0);
    world.said(batch, |_| if is_spoilt { fails() } else { Said::Delivered });
}

#[test]
fn a_batch_goes_when_it_is_full_or_when_its_first_message_has_waited() {
    run(async || {
        let mut world = world(&json!({}), THREE);
        world.accept([1, 2]);
        assert!(take(&mut world).is_empty());
        world.accept([3, 4]);
        assert_eq!(take(&mut world), [1, 2, 3]);
        assert!(take(&mut world).is_empty());
        advance(WAIT / 2).await;
        world.accept([5]);
        assert!(take(&mut world).is_empty());
        advance(WAIT / 2).await;
        assert_eq!(take(&mut world), [4, 5]);
        assert!(take(&mut world).is_empty());
    });
}

#[test]
fn the_worker_that_asks_learns_when_the_batch_goes() {
    run(async || {
        let mut world = world(&json!({}), THREE);
        let queue = world.queue_of(0);
        world.accept([1]);
        let due = Instant::now() + WAIT;
        advance(WAIT / 4).await;
        assert!(matches!(world.delivery.next(queue, Asking::Busy), Next::Wait(Some(until)) if until == due));
        // Nothing happened for long: it does not leave the message alone.
        assert!(matches!(world.delivery.next(queue, Asking::Idle), Next::Wait(Some(until)) if until == due));
        advance(WAIT).await;
        assert!(matches!(world.delivery.next(queue, Asking::Woken), Next::Write(batch) if batch.len() == 1));
    });
}

#[test]
fn a_batch_has_no_more_bytes_than_it_may_but_one_message_always_goes() {
    run(async || {
        let mut world = world(&json!({}), Batching { messages: 100, bytes: 1_000, ..THREE });
        for (id, bytes) in [(1, 300), (2, 300), (3, 300), (4, 300), (5, 2_000), (6, 10)] {
            world.accept_for(0, &id.to_string(), &vec![b' '; bytes]);
        }
        // With a comma behind each.
        assert_eq!(take(&mut world), [1, 2, 3]);
        assert_eq!(take(&mut world), [4]);
        assert_eq!(take(&mut world), [5]);
        assert!(take(&mut world).is_empty());
        advance(WAIT).await;
        assert_eq!(take(&mut world), [6]);
    });
}

#[test]
fn several_workers_start_for_several_batches() {
    run(async || {
        let mut world = world(&json!({"concurrency": 8}), Batching { messages: 100, bytes: 1_000, ..THREE });
        for id in 0..10 {
            world.accept_for(0, &id.to_string(), &[b' '; 900]);
        }
        let mut effects = Vec::new();
        world.delivery.take_effects(&mut effects);
        let started = effects.iter().map(|effect| match effect {
            Effect::StartWorkers { count, .. } => *count,
            _ => 0,
        });
        assert_eq!(started.sum::<usize>(), 8);
    });
}

#[test]
fn what_waits_for_others_goes_at_once_when_no_others_can_come() {
    run(async || {
        let mut draining = world(&json!({}), THREE);
        draining.accept([1]);
        draining.delivery.begin_drain();
        assert_eq!(take(&mut draining), [1]);

        let mut replaced = world(&json!({}), THREE);
        replaced.accept([1]);
        let (queue, old) = (replaced.queue_of(0), Rc::clone(&replaced.revision));
        replaced.delivery.retire(&mut replaced.settlement, &mut replaced.consumers, &old);
        assert_eq!(replaced.take_of(queue).len(), 1);

        let mut full = world(&json!({}), Batching { messages: 1_000, ..THREE });
        let acme = full.revision.owner.customer_id;
        (0..4_096).for_each(|_| full.delivery.budgets.add(acme, 1));
        full.accept(0..17);
        assert_eq!((take(&mut full).len(), full.count("nak")), (16, 1));
    });
}

#[test]
fn one_that_spoils_every_request_is_alone_after_a_few_and_the_others_are_delivered() {
    for concurrency in [1, 4] {
        run(async || {
            let batching = Batching { messages: 100, wait: Duration::ZERO, ..THREE };
            let mut world = world(&json!({"retry_for": "60s", "concurrency": concurrency}), batching);
            world.accept((0..100).map(|n| (n + 50) % 100));
            let mut sizes = Vec::new();
            for _ in 0..200 {
                loop {
                    let batch = world.take();
                    if batch.is_empty() {
                        break;
                    }
                    if numbers(&batch).contains(&0) {
                        sizes.push(batch.len());
                    }
                    answer(&mut world, batch);
                }
                advance(Duration::from_millis(100)).await;
            }
            assert_eq!((&sizes[..3], sizes[3..].iter().all(|size| *size == 1)), (&[100, 25, 6][..], true), "{sizes:?}");
            let acked = world.count("ack");
            assert_eq!(acked, if concurrency == 1 { 50 } else { 99 }, "{sizes:?}");
            advance(Duration::from_secs(60)).await;
            for _ in 0..3 {
                let batch = world.take();
                answer(&mut world, batch);
            }
            let written = world.written();
            assert_eq!(written.iter().filter(|subject| subject.starts_with("vrsky.dead.")).count(), 1);
        });
    }
}

#[test]
fn an_outage_is_probed_with_one_message_and_what_failed_together_is_tried_together() {
    run(async || {
        let batching = Batching { messages: 64, wait: Duration::ZERO, ..THREE };
        let mut world = world(&json!({"concurrency": 4}), batching);
        world.accept(0..128);
        let both = [world.take(), world.take()];
        assert!(both.iter().all(|batch| batch.len() == 64));
        for batch in both {
            world.said(batch, always);
        }
        world.accept([200, 201]);
        advance(Duration::from_millis(200)).await;
        let probe = world.take();
        assert_eq!((probe.len(), world.take().len()), (1, 0));
        world.said(probe, works);
        advance(Duration::from_secs(1)).await;
        let mut sizes = Vec::new();
        loop {
            let batch = world.take();
            if batch.is_empty() {
                break;
            }
            sizes.push(batch.len());
            world.said(batch, works);
        }
        assert_eq!((sizes.iter().sum::<usize>(), sizes.len()), (129, 9), "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 16), "{sizes:?}");
    });
}

#[test]
fn where_order_is_kept_a_batch_ends_where_the_url_changes() {
    for (concurrency, expected) in [(1, [vec![1, 2], vec![3], vec![4]]), (2, [vec![1, 2, 3], vec![4], vec![]])] {
        run(async || {
            let http = json!({"url": "http://192.0.2.1/{n}", "concurrency": concurrency});
            let mut world = world(&http, Batching { wait: Duration::ZERO, ..THREE });
            for (id, tenant) in [(1, 7), (2, 7), (3, 8), (4, 7)] {
                world.accept_for(0, &id.to_string(), format!("{{\"n\": {tenant}}}").as_bytes());
            }
            let batches = [take(&mut world), take(&mut world), take(&mut world)];
            assert_eq!(batches, expected);
        });
    }
}
