//! Tests of what the server refuses, and permits again.

use message::Code;
use nats::jetstream::PullEnd;

use super::permits::{ACK_TICKS, RETRY_TICKS};
use super::*;

const FIRST: RevisionId = RevisionId(1);
const REFUSED: Option<Code> = Some(Code::NatsAuthorization);
const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.S.c";

/// A core NATS in and a JetStream in of revision 1.
fn consumers() -> Consumers {
    let mut consumers = Consumers::default();
    consumers.add_subject(FIRST, "in.orders", "g");
    consumers.add_pull(Feed::Source(FIRST), "S", "c", |number| format!("_INBOX.test.p.{number}"));
    consumers
}

fn tried(consumers: &mut Consumers, tick: u64, marker: u64) -> String {
    let mut wire = Vec::new();
    consumers.try_refused(tick, marker, &mut wire);
    String::from_utf8(wire).unwrap()
}

/// What is asked for in the usual way.
fn asked(consumers: &mut Consumers, tick: u64) -> usize {
    let mut wire = Vec::new();
    let (none, bound) = (Load { messages: 0, bytes: 0 }, Load { messages: 1_000, bytes: 1 << 20 });
    consumers.is_short = true;
    consumers.top_up(tick, none, bound, |_| true, &mut wire);
    String::from_utf8(wire).unwrap().matches(NEXT).count()
}

fn source_fault(consumers: &Consumers) -> Option<Code> {
    consumers.fault(Feed::Source(FIRST), "LANE")
}

#[test]
fn a_refused_subscription_is_tried_again_and_permitted_by_the_marker_behind_the_try() {
    let mut consumers = consumers();
    assert!(consumers.refuse_subject("in.orders", 5) && consumers.is_refused(FIRST));
    assert!(!consumers.has_to_try(4 + RETRY_TICKS) && consumers.has_to_try(5 + RETRY_TICKS));
    let sub = tried(&mut consumers, 5 + RETRY_TICKS, 3);
    assert_eq!(sub, format!("SUB in.orders g {FIRST_SUBJECT}\r\n"));
    // Nothing is known yet, and nothing is tried twice.
    consumers.on_tick(90, 2);
    assert!(consumers.is_refused(FIRST) && !consumers.has_to_try(90));
    consumers.on_tick(91, 3);
    assert!(!consumers.is_refused(FIRST) && !consumers.has_to_try(91));
    assert!(consumers.refuse_subject("in.orders", 92));
}

#[test]
fn a_try_that_is_refused_is_no_news_and_the_marker_behind_it_permits_nothing() {
    let mut consumers = consumers();
    assert!(consumers.refuse_subject("in.orders", 5));
    for tick in [20, 40, 60] {
        assert!(tried(&mut consumers, tick, tick).starts_with("SUB "));
        assert!(!consumers.refuse_subject("in.orders", tick));
        consumers.on_tick(tick + 1, tick);
        assert!(consumers.is_refused(FIRST) && !consumers.has_to_try(tick + 1));
    }
    // Of nobody here: it is told.
    assert!(consumers.refuse_subject("_INBOX.x", 70));
}

#[test]
fn what_is_closed_or_drained_is_not_tried_again() {
    let mut closed = consumers();
    assert!(closed.refuse_subject("in.orders", 5) && closed.refuse_publish(NEXT, 5) == Some(true));
    closed.close_source(FIRST, 6, 1, &mut Vec::new());
    assert!(!closed.has_to_try(50) && tried(&mut closed, 50, 2).is_empty());
    closed.on_tick(50, 1);
    assert!(!closed.serves(FIRST) && !closed.is_refused(FIRST) && source_fault(&closed).is_none());
    let mut drained = consumers();
    assert!(drained.refuse_subject("in.orders", 5) && drained.refuse_publish(NEXT, 5) == Some(true));
    drained.close_all(&mut Vec::new());
    assert!(!drained.has_to_try(50) && tried(&mut drained, 50, 2).is_empty());
}

#[test]
fn a_subscription_that_is_being_tried_is_handed_over_as_it_is() {
    let mut consumers = consumers();
    let second = RevisionId(2);
    consumers.refuse_subject("in.orders", 5);
    assert!(!consumers.hand_over_subject(FIRST, second, "in.orders", "g"));
    tried(&mut consumers, 20, 7);
    // Messages may come to it already: an UNSUB would lose them.
    assert!(consumers.hand_over_subject(FIRST, second, "in.orders", "g"));
    assert!(consumers.is_refused(second) && !consumers.is_refused(FIRST));
    consumers.close_source(FIRST, 20, 8, &mut Vec::new());
    consumers.on_tick(21, 7);
    assert!(!consumers.is_refused(second) && consumers.has_subject(second));
}

#[test]
fn requests_that_are_refused_are_tried_one_at_a_time_and_permitted_by_the_marker_behind_the_try() {
    let mut consumers = consumers();
    assert_eq!(asked(&mut consumers, 1), 2);
    assert_eq!((consumers.refuse_publish(NEXT, 5), consumers.refuse_publish(NEXT, 5)), (Some(true), Some(false)));
    assert_eq!((source_fault(&consumers), consumers.denial(None, "S")), (REFUSED, REFUSED));
    // What comes belongs to an older request, and says nothing about the next one.
    consumers.on_message(0, 500, 6);
    consumers.on_status(0, &PullStatus::Heartbeat, 6);
    consumers.on_tick(6, 9);
    assert_eq!((source_fault(&consumers), asked(&mut consumers, 6)), (REFUSED, 0));
    assert_eq!(tried(&mut consumers, 5 + RETRY_TICKS, 10).matches(NEXT).count(), 1);
    assert_eq!(consumers.refuse_publish(NEXT, 20), Some(false));
    consumers.on_tick(20, 10);
    assert_eq!((source_fault(&consumers), asked(&mut consumers, 20)), (REFUSED, 0));
    assert_eq!(tried(&mut consumers, 30, 11).matches(NEXT).count(), 1);
    consumers.on_tick(31, 11);
    assert_eq!(source_fault(&consumers), None);
    assert!(asked(&mut consumers, 31) > 0);
}

#[test]
fn a_request_of_a_parked_out_is_not_tried_while_nothing_is_asked_for() {
    let mut consumers = consumers();
    consumers.set_pull(0, false);
    consumers.refuse_publish(NEXT, 5);
    assert!(!consumers.has_to_try(50));
    consumers.set_pull(0, true);
    assert!(consumers.has_to_try(50));
}

#[test]
fn refused_acks_are_one_fault_of_their_consumer_until_none_is_refused_for_a_while() {
    let mut consumers = consumers();
    let short = |n: u64| format!("$JS.ACK.S.c.1.{n}.{n}.1700000000123456789.0");
    let long = |n: u64| format!("$JS.ACK.hub.ACCOUNT.S.c.2.{n}.{n}.17.3.random");
    assert_eq!(consumers.refuse_publish(&short(1), 5), Some(true));
    let later = (2..2_000).flat_map(|n| [short(n), long(n)]);
    assert!(later.into_iter().all(|subject| consumers.refuse_publish(&subject, 6) == Some(false)));
    assert_eq!((source_fault(&consumers), consumers.fault(Feed::Source(RevisionId(2)), "T")), (REFUSED, None));
    assert_eq!(consumers.refuse_publish("$JS.ACK.S.other.1.1.1.17.0", 7), Some(true));
    // Requests and acks are two things: neither a message nor a marker takes it back.
    assert_eq!(asked(&mut consumers, 7), 2);
    consumers.on_message(0, 500, 8);
    consumers.on_tick(5 + ACK_TICKS, 1_000);
    assert_eq!(source_fault(&consumers), REFUSED);
    consumers.on_tick(6 + ACK_TICKS, 1_000);
    assert_eq!(source_fault(&consumers), None);
    assert_eq!(consumers.refuse_publish(&long(1), 90), Some(true));
    assert_eq!(source_fault(&consumers), REFUSED);
    consumers.on_connected(1 << 20, 91, &mut Vec::new());
    assert_eq!(source_fault(&consumers), None);
}

#[test]
fn a_pull_that_is_added_while_its_acks_are_refused_is_in_fault_too() {
    let mut consumers = Consumers::default();
    // The server's words may be cut.
    assert_eq!(consumers.refuse_publish("$JS.ACK.S.c", 5), Some(true));
    assert_eq!(consumers.refuse_publish("$JS.ACK.S.c.1.1.1.17.0", 5), Some(true));
    consumers.add_pull(Feed::Source(FIRST), "S", "c", |_| String::new());
    consumers.on_tick(6, 0);
    assert_eq!(source_fault(&consumers), REFUSED);
}

#[test]
fn a_lost_consumer_does_not_take_back_that_its_requests_are_refused() {
    let mut consumers = consumers();
    consumers.refuse_publish(NEXT, 5);
    let reason = PullEnd::ConsumerDeleted;
    consumers.on_status(0, &PullStatus::Ended { reason, pending_messages: 1, pending_bytes: 0 }, 6);
    assert_eq!(source_fault(&consumers), REFUSED);
    assert_eq!(consumers.refuse_publish("$JS.API.STREAM.INFO.S", 6), None);
    assert_eq!(consumers.refuse_publish("out.orders", 6), None);
}
