//! Tests of the ledger.

use super::*;
use message::Code;
use proptest::prelude::*;

const STREAM: &str = "S";

fn input(origin: Origin) -> Input<'static> {
    Input { origin, revision: RevisionId(1), customer: CustomerId(1), bytes: 10, token: b"$JS.ACK.x" }
}

fn open(ledger: &mut Ledger, outputs: usize) -> EntryId {
    let id = ledger.open(&input(Origin::JetStream), 0);
    (0..outputs).for_each(|_| {
        ledger.add_output(id, Meaning::Stored, Some(STREAM.into()), 0);
    });
    id
}

fn fault() -> Fault {
    Fault::new(Code::NatsTimeout, "late")
}

/// As the settlement does with a PubAck.
fn confirm(ledger: &mut Ledger, id: EntryId, number: u32) -> Option<Closed> {
    ledger.confirm(id, number, None, STREAM)?;
    ledger.close_if_done(id)
}

#[test]
fn an_input_closes_with_its_last_output() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 2);
    assert!(confirm(&mut ledger, id, 1).is_none());
    let closed = confirm(&mut ledger, id, 0).unwrap();
    assert!(matches!(closed, Closed { origin: Origin::JetStream, outcome: Outcome::Ok, .. }));
    assert_eq!(ledger.token(id), b"$JS.ACK.x");
    ledger.forget(id);
    assert_eq!((ledger.len(), ledger.token(id).len()), (0, 0));
}

#[test]
fn the_same_pub_ack_twice_does_not_close_an_input_whose_other_output_waits() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 2);
    assert!(confirm(&mut ledger, id, 0).is_none());
    assert!(ledger.confirm(id, 0, None, STREAM).is_none());
    assert!(ledger.confirm(id, 7, None, STREAM).is_none());
    assert!(confirm(&mut ledger, id, 1).is_some());
}

#[test]
fn one_failed_output_sends_the_whole_input_back_when_no_frame_is_kept() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 2);
    assert_eq!(ledger.refuse(id, 0, None).map(|refused| refused.is_kept), Some(false));
    assert!(ledger.fail(id, Duration::from_secs(1), fault()).is_none());
    assert!(matches!(confirm(&mut ledger, id, 1).unwrap().outcome, Outcome::Retry(..)));
}

#[test]
fn an_answer_from_another_stream_confirms_nothing() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 1);
    assert!(ledger.confirm(id, 0, None, "OTHER").is_none());
    assert!(confirm(&mut ledger, id, 0).is_some());
}

#[test]
fn an_answer_to_one_customers_reply_subject_confirms_nothing_of_another() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 1);
    assert!(ledger.confirm(id, 0, Some(CustomerId(2)), STREAM).is_none());
    assert!(ledger.refuse(id, 0, Some(CustomerId(2))).is_none());
    assert!(ledger.confirm(id, 0, Some(CustomerId(1)), STREAM).is_some());
}

#[test]
fn a_late_pub_ack_does_not_touch_the_next_input() {
    let mut ledger = Ledger::default();
    let first = open(&mut ledger, 1);
    assert!(ledger.abandon(first, Duration::ZERO, fault()).is_some());
    let second = open(&mut ledger, 1);
    assert!(ledger.confirm(first, 0, None, STREAM).is_none());
    assert!(confirm(&mut ledger, second, 0).is_some());
}

#[test]
fn a_refused_output_has_had_an_answer_that_need_not_be_its_pub_ack() {
    let mut ledger = Ledger::default();
    let first = open(&mut ledger, 1);
    ledger.refuse(first, 0, None);
    assert!(ledger.fail(first, Duration::ZERO, fault()).is_some());
    assert_ne!(open(&mut ledger, 1), first);
}

#[test]
fn an_entry_that_has_all_its_pub_acks_keeps_its_number() {
    let mut ledger = Ledger::default();
    let first = open(&mut ledger, 1);
    assert!(confirm(&mut ledger, first, 0).is_some());
    assert_eq!(open(&mut ledger, 1), first);
}

#[test]
fn a_refused_frame_is_published_again_and_the_confirmed_ones_are_not() {
    let mut ledger = Ledger::default();
    let id = ledger.open(&input(Origin::JetStream), 0);
    ledger.keep_frames(id);
    for frame in [b"one", b"two"] {
        ledger.add_output(id, Meaning::Stored, None, 0);
        ledger.published(id, frame);
    }
    assert_eq!(ledger.usage_of_customer(CustomerId(1)).bytes, 16);
    assert!(confirm(&mut ledger, id, 0).is_none());
    assert_eq!(ledger.refuse(id, 1, None).map(|refused| refused.is_kept), Some(true));
    let mut wire = Vec::new();
    ledger.resend_refused(1, &mut wire);
    ledger.resend_refused(1, &mut wire);
    assert_eq!((&*wire, ledger.has_refused()), (&b"two"[..], false));
    ledger.resend_late(5, 5, &mut wire);
    assert_eq!(wire, b"two");
    ledger.resend_late(6, 5, &mut wire);
    assert_eq!(wire, b"twotwo");
    assert!(confirm(&mut ledger, id, 1).is_some());
    // The second repetition may still be answered.
    assert_ne!(open(&mut ledger, 1), id);
}

#[test]
fn an_abandoned_refusal_is_not_waited_for() {
    let mut ledger = Ledger::default();
    let id = ledger.open(&input(Origin::Core), 0);
    ledger.add_output(id, Meaning::Stored, None, 0);
    ledger.published(id, b"frame");
    ledger.refuse(id, 0, None);
    assert!(ledger.has_refused());
    ledger.abandon(id, Duration::ZERO, fault());
    assert!(!ledger.has_refused());
}

#[test]
fn a_message_that_did_not_reach_the_parked_ones_is_told() {
    let mut ledger = Ledger::default();
    let id = ledger.open(&input(Origin::JetStream), 0);
    ledger.add_output(id, Meaning::Parked(QueueId(3)), None, 0);
    assert_eq!(ledger.abandon(id, Duration::ZERO, fault()).unwrap().unparked, Some(QueueId(3)));
    let id = ledger.open(&input(Origin::JetStream), 0);
    ledger.add_output(id, Meaning::Parked(QueueId(3)), None, 0);
    assert_eq!(confirm(&mut ledger, id, 0).unwrap().unparked, None);
}

#[test]
fn an_entry_whose_pub_acks_are_all_there_waits_for_none_while_a_script_has_a_part() {
    let mut ledger = Ledger::default();
    let id = open(&mut ledger, 1);
    ledger.begin_work(id);
    assert_eq!(ledger.pick(9, |pick| pick.waits), [id]);
    assert!(confirm(&mut ledger, id, 0).is_none());
    assert_eq!(ledger.pick(9, |pick| pick.waits), []);
    assert!(ledger.end_work(id, Outcome::Ok).is_some());
}

proptest! {
    #[test]
    fn nothing_closes_early_late_or_twice(outputs in proptest::collection::vec(1_usize..5, 1..40), order in any::<u64>()) {
        let mut ledger = Ledger::default();
        let mut waiting = Vec::new();
        for count in &outputs {
            let id = open(&mut ledger, *count);
            waiting.extend((0..*count).map(|number| (id, u32::try_from(number).unwrap())));
        }
        fastrand::Rng::with_seed(order).shuffle(&mut waiting);
        let mut closed = 0;
        for (id, number) in waiting {
            closed += usize::from(confirm(&mut ledger, id, number).is_some());
            prop_assert!(ledger.confirm(id, number, None, STREAM).is_none());
        }
        prop_assert_eq!(closed, outputs.len());
        prop_assert!(ledger.is_empty());
        prop_assert_eq!(ledger.usage_of_customer(CustomerId(1)), Usage::default());
        prop_assert_eq!(ledger.usage_of_revision(RevisionId(1)), Usage::default());
    }
}

#[test]
fn what_came_by_core_nats_is_its_customers_and_not_what_was_asked_for() {
    let mut ledger = Ledger::default();
    let id = ledger.open(&Input { bytes: 0, ..input(Origin::Core) }, 0);
    ledger.add_output(id, Meaning::Stored, Some(STREAM.into()), 0);
    ledger.published(id, b"PUB x 1");
    assert_eq!(ledger.usage_of_customer(CustomerId(1)), Usage { messages: 1, bytes: 7 });
    assert_eq!(ledger.asked_for(), Usage::default());
    let pulled = open(&mut ledger, 1);
    assert_eq!(ledger.asked_for(), Usage { messages: 1, bytes: 10 });
    assert!(confirm(&mut ledger, pulled, 0).is_some() && confirm(&mut ledger, id, 0).is_some());
    assert_eq!((ledger.usage_of_customer(CustomerId(1)), ledger.asked_for()), (Usage::default(), Usage::default()));
}
