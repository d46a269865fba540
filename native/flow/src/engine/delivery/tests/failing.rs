//! Messages, outs and servers that fail.

use super::*;

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
        let hangs = |_: &str| Said::Retry { fault: Fault::new(Code::HttpTimeout, "silent"), after: None };
        let mut attempts = 0;
        for _ in 0..100 {
            attempts += world.attempt(hangs).len();
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
