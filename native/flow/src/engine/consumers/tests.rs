//! Tests of the credit.

use message::Code;

use super::*;

const BOUND: i64 = 16_384;
const BYTES: i64 = 128 << 20;

fn top_up(pulls: &mut Consumers, tick: u64, in_hand: i64) {
    let load = |messages, bytes| Load { messages, bytes };
    pulls.is_short = true;
    pulls.top_up(tick, load(in_hand, 0), load(BOUND, BYTES), |_| true, &mut Vec::new());
}

/// Of consumers that have brought much lately.
fn pulls(count: usize) -> Consumers {
    let mut pulls = new_pulls(count);
    pulls.pulls.values_mut().for_each(|pull| pull.window = MAX_BATCH);
    pulls
}

fn new_pulls(count: usize) -> Consumers {
    let mut pulls = Consumers::default();
    for number in 0..count {
        add(&mut pulls, &format!("S{number}"));
    }
    pulls
}

fn add(pulls: &mut Consumers, stream: &str) -> u64 {
    pulls.add_pull(Feed::Lane(LaneType::Logic), stream, "c", |number| format!("_INBOX.test.p.{number}"))
}

fn credits(pulls: &Consumers) -> Vec<i64> {
    pulls.pulls.values().map(|pull| pull.credit).collect()
}

fn asked(pulls: &Consumers) -> (i64, i64) {
    let credits = || pulls.pulls.values().map(|pull| pull.credit);
    (credits().min().unwrap_or(0), credits().max().unwrap_or(0))
}

#[test]
fn however_many_there_are_all_get_a_share_and_the_bound_holds() {
    for count in [1, 4, 8, 9, 32, 300, 1_000, 4_096] {
        let mut pulls = pulls(count);
        top_up(&mut pulls, 1, 0);
        let (least, most) = asked(&pulls);
        assert!(least >= 1 && least == most, "{count}: {least} to {most}");
        assert!(pulls.credit() <= BOUND / 2, "{count}: {}", pulls.credit());
    }
    let mut few = pulls(8);
    top_up(&mut few, 1, 0);
    assert_eq!(asked(&few), (MAX_BATCH * REQUESTS, MAX_BATCH * REQUESTS));
}

#[test]
fn more_pulls_than_messages_in_the_bound_take_turns() {
    let count = 20_000;
    let mut pulls = pulls(count);
    let mut served = vec![false; count];
    for tick in 1..=3 {
        top_up(&mut pulls, tick, 0);
        assert!(pulls.credit() <= BOUND);
        for (number, served) in (0..).zip(served.iter_mut()) {
            while pulls.pulls[&number].credit > 0 {
                *served = true;
                pulls.on_message(number, 500, tick);
            }
        }
    }
    assert!(served.iter().all(|one| *one));
}

#[test]
fn a_pull_that_is_opened_later_finds_room() {
    let mut pulls = pulls(100);
    top_up(&mut pulls, 1, 0);
    let late = add(&mut pulls, "LATE");
    top_up(&mut pulls, 1, BOUND / 4);
    assert!(pulls.pulls[&late].credit > 0);
}

#[test]
fn a_thousand_pulls_opened_one_after_the_other_beside_busy_ones_all_have_a_request() {
    let mut pulls = pulls(8);
    top_up(&mut pulls, 1, 0);
    for number in 0..1_000 {
        add(&mut pulls, &format!("LATE{number}"));
        top_up(&mut pulls, 1, 0);
    }
    assert!(asked(&pulls).0 >= 1 && pulls.credit() <= BOUND);
}

#[test]
fn a_request_grows_with_what_comes_and_is_small_again_when_nothing_does() {
    let mut pulls = new_pulls(1);
    top_up(&mut pulls, 1, 0);
    assert_eq!(credits(&pulls), [REQUESTS * MIN_WINDOW]);
    for tick in 2..2_000 {
        pulls.on_message(0, 500, tick);
        top_up(&mut pulls, tick, 0);
    }
    assert!(credits(&pulls)[0] > MAX_BATCH);
    let pending_messages = u64::try_from(credits(&pulls)[0]).unwrap();
    pulls.on_status(0, &PullStatus::Ended { reason: PullEnd::Expired, pending_messages, pending_bytes: 0 }, 2_000);
    top_up(&mut pulls, 2_000, 0);
    assert_eq!(credits(&pulls), [REQUESTS * MIN_WINDOW]);
}

#[test]
fn what_is_in_hand_counts_and_those_left_out_are_first_the_next_time() {
    let mut pulls = pulls(4);
    let room_for_one = BOUND - MAX_BATCH * REQUESTS;
    top_up(&mut pulls, 1, room_for_one);
    assert_eq!(credits(&pulls), [1_024, 0, 0, 0]);
    for _ in 0..1_024 {
        pulls.on_message(0, 500, 1);
    }
    top_up(&mut pulls, 1, room_for_one);
    assert_eq!(credits(&pulls), [0, 1_024, 0, 0]);
}

#[test]
fn a_closed_source_is_forgotten_when_nothing_of_it_can_come_any_more() {
    let mut consumers = Consumers::default();
    let (gone, stays) = (RevisionId(1), RevisionId(2));
    for revision in [gone, stays] {
        consumers.add_subject(revision, "in.orders", "g");
        consumers.add_pull(Feed::Source(revision), "S", "c", |_| String::new());
    }
    let mut wire = Vec::new();
    assert!(consumers.has_subject(gone));
    consumers.close_source(gone, 5, 3, &mut wire);
    assert!(!consumers.has_subject(gone) && consumers.has_subject(stays));
    assert_eq!(wire.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"UNSUB")).count(), 2);
    consumers.on_tick(5 + CLOSED_TICKS, 3);
    assert!(consumers.serves(gone));
    assert_eq!((consumers.subscription(FIRST_SUBJECT), consumers.feed(0)), (None, Some(Feed::Source(gone))));
    consumers.on_tick(6 + CLOSED_TICKS, 3);
    assert!(!consumers.serves(gone) && consumers.serves(stays));
}

#[test]
fn a_core_subscription_is_known_until_the_marker_behind_its_unsub_is_back_however_long_that_takes() {
    let mut consumers = Consumers::default();
    consumers.add_subject(RevisionId(1), "in.orders", "g");
    consumers.close_source(RevisionId(1), 5, 3, &mut Vec::new());
    consumers.on_tick(1_000, 2);
    assert_eq!(consumers.subscription(FIRST_SUBJECT), Some(Subscription::Core(RevisionId(1))));
    consumers.on_tick(1_000, 3);
    assert_eq!(consumers.subscription(FIRST_SUBJECT), None);
}

/// A core NATS in and a JetStream in of revision 1, and its set-aside messages.
fn sources() -> Consumers {
    let mut consumers = Consumers::default();
    consumers.add_subject(RevisionId(1), "in.orders", "g");
    for (feed, stream) in [(Feed::Source(RevisionId(1)), "S"), (Feed::Aside(RevisionId(1)), "VRSKY_PARKED")] {
        consumers.add_pull(feed, stream, "c", |number| format!("_INBOX.test.p.{number}"));
    }
    consumers
}

#[test]
fn what_two_revisions_read_is_handed_over_and_the_server_learns_nothing_of_it() {
    let mut consumers = sources();
    top_up(&mut consumers, 1, 0);
    let (first, second) = (RevisionId(1), RevisionId(2));
    let credit = consumers.credit();
    assert!(consumers.hand_over_subject(first, second, "in.orders", "g"));
    assert!(consumers.hand_over_pull(first, second, "S", "c"));
    consumers.hand_over_aside(first, second);
    let mut wire = Vec::new();
    consumers.close_source(first, 1, 1, &mut wire);
    assert_eq!((wire.as_slice(), consumers.credit()), (&b""[..], credit));
    assert!(!consumers.serves(first));
    assert_eq!(consumers.subscription(FIRST_SUBJECT), Some(Subscription::Core(second)));
    assert_eq!([0, 1].map(|number| consumers.feed(number)), [Some(Feed::Source(second)), Some(Feed::Aside(second))]);
    // A removal after that ends all three.
    consumers.close_source(second, 1, 1, &mut wire);
    assert_eq!(String::from_utf8(wire).unwrap().matches("UNSUB ").count(), 3);
    consumers.on_tick(2 + CLOSED_TICKS, 1);
    assert!(!consumers.serves(second));
}

#[test]
fn what_differs_is_refused_or_is_closed_is_not_handed_over() {
    let (first, second) = (RevisionId(1), RevisionId(2));
    let mut consumers = sources();
    assert!(!consumers.hand_over_subject(first, second, "in.other", "g"));
    assert!(!consumers.hand_over_subject(first, second, "in.orders", "other"));
    assert!(!consumers.hand_over_subject(second, first, "in.orders", "g"));
    assert!(
        !consumers.hand_over_pull(first, second, "S", "other") && !consumers.hand_over_pull(first, second, "T", "c")
    );
    // A refused subscription is none: the server may permit another one.
    assert!(consumers.refuse_subject("in.orders", 1));
    assert!(!consumers.hand_over_subject(first, second, "in.orders", "g"));
    consumers.on_connected(1 << 20, 1, &mut Vec::new());
    assert!(consumers.hand_over_subject(first, first, "in.orders", "g"));
    consumers.close_source(first, 1, 1, &mut Vec::new());
    assert!(!consumers.hand_over_subject(first, second, "in.orders", "g"));
    assert!(!consumers.hand_over_pull(first, second, "S", "c"));
    consumers.hand_over_aside(first, second);
    assert!(!consumers.serves(second));
}

#[test]
fn a_subscription_that_was_handed_over_is_made_again_on_a_new_connection_and_may_be_refused() {
    let (first, second) = (RevisionId(1), RevisionId(2));
    let mut consumers = sources();
    assert!(consumers.hand_over_subject(first, second, "in.orders", "g"));
    assert!(consumers.refuse_subject("in.orders", 1) && consumers.is_refused(second) && !consumers.is_refused(first));
    let mut wire = Vec::new();
    consumers.on_connected(1 << 20, 1, &mut wire);
    assert_eq!(String::from_utf8(wire).unwrap().matches("SUB in.orders g ").count(), 1);
    assert!(!consumers.is_refused(second));
}

#[test]
fn large_messages_are_asked_for_a_few_at_a_time_and_small_ones_in_full() {
    let mut pulls = pulls(8);
    pulls.max_payload = 8 << 20;
    for tick in 1..20 {
        top_up(&mut pulls, tick, 0);
        for number in 0..8 {
            pulls.on_message(number, 8 << 20, tick);
        }
    }
    top_up(&mut pulls, 20, 0);
    assert!(pulls.reserved() <= MAX_UNREAD);
    // At least two of the largest are on their way.
    assert!(pulls.pulls.values().filter(|pull| pull.credit > 0).count() >= 2);
    for _ in 0..1_000 {
        (0..8).for_each(|number| pulls.on_message(number, 500, 20));
    }
    top_up(&mut pulls, 21, 0);
    assert!(asked(&pulls).0 >= MAX_BATCH);
}

#[test]
fn a_request_is_never_smaller_than_the_largest_message() {
    for max_payload in [1 << 10, 1 << 20, 8 << 20, 64 << 20] {
        assert!(request_bytes(max_payload) > i64::try_from(max_payload).unwrap());
    }
}

#[test]
fn a_revision_whose_messages_have_no_room_is_not_asked_for_more_and_others_are() {
    let mut pulls = pulls(1);
    let revisions = [RevisionId(1), RevisionId(2)];
    let sources = revisions.map(|revision| pulls.add_pull(Feed::Source(revision), "IN", "c", |_| String::new()));
    let load = |messages| Load { messages, bytes: BYTES };
    let none = Load { messages: 0, bytes: 0 };
    pulls.top_up(1, none, load(BOUND), |revision| revision != revisions[0], &mut Vec::new());
    assert_eq!(sources.map(|number| pulls.pulls[&number].credit > 0), [false, true]);
    assert!(pulls.pulls[&0].credit > 0);
    pulls.top_up(1, none, load(BOUND), |_| true, &mut Vec::new());
    assert!(pulls.pulls[&sources[0]].credit > 0);
}

#[test]
fn nothing_is_asked_for_while_too_many_bytes_are_in_hand() {
    let mut pulls = pulls(4);
    let (full, bound) = (Load { messages: 10, bytes: BYTES }, Load { messages: BOUND, bytes: BYTES });
    pulls.top_up(1, full, bound, |_| true, &mut Vec::new());
    assert_eq!(pulls.credit(), 0);
    pulls.top_up(1, Load { bytes: 0, ..full }, bound, |_| true, &mut Vec::new());
    assert!(pulls.credit() > 0);
}

#[test]
fn a_thousand_idle_consumers_all_have_a_request_though_the_largest_message_is_large() {
    let mut pulls = pulls(400);
    pulls.max_payload = 8 << 20;
    top_up(&mut pulls, 1, 0);
    assert!(asked(&pulls).0 >= 1);
}

#[test]
fn a_pull_whose_consumer_is_gone_is_lost_once_until_it_is_repaired() {
    let ended = |reason| PullStatus::Ended { reason, pending_messages: 1, pending_bytes: 0 };
    let mut pulls = pulls(1);
    pulls.on_status(0, &ended(PullEnd::Expired), 1);
    pulls.on_status(0, &ended(PullEnd::LeadershipChange), 1);
    assert!(pulls.take_lost().is_empty());
    pulls.on_status(0, &ended(PullEnd::ConsumerDeleted), 1);
    pulls.on_status(0, &ended(PullEnd::NoResponders), 3);
    assert_eq!((pulls.take_lost(), pulls.take_lost()), (vec![0], Vec::new()));
    let lost = pulls.lost(0).unwrap();
    assert_eq!((&*lost.stream, &*lost.consumer), ("S0", "c"));
    assert!(pulls.on_unrepaired(0, Code::NatsNoStream) && !pulls.on_unrepaired(0, Code::NatsNoStream));
    assert_eq!(pulls.fault(Feed::Source(RevisionId(1)), "S0"), Some(Code::NatsNoStream));
    assert_eq!(pulls.fault(Feed::Source(RevisionId(1)), "S1"), None);
    pulls.on_repaired(0);
    assert_eq!(pulls.fault(lost.feed, "S0"), None);
    pulls.on_status(0, &ended(PullEnd::ConsumerDeleted), 9);
    assert_eq!(pulls.take_lost(), [0]);
    pulls.close_all(&mut Vec::new());
    assert_eq!(pulls.lost(0), None);
}
