use bytes::Bytes;
use message::{Code, Fault};

use super::*;
use crate::mqtt::broker::Qos;

fn arrival(packet_id: u16, qos: Qos) -> Arrival {
    let packet_id = (qos != Qos::AtMostOnce).then_some(packet_id);
    Arrival { packet_id, qos, is_duplicate: false, digest: u64::from(packet_id.unwrap_or_default()) }
}

fn message(text: &str) -> Incoming {
    Incoming {
        item: 0,
        binding: 0,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        headers: Vec::new(),
        content_type: "".into(),
        idempotency_key: None,
        place: None,
        fault: None,
    }
}

fn connected() -> Inbox {
    let inbox = Inbox::new(4, 1000);
    inbox.on_connected(false);
    inbox
}

fn arrive(inbox: &Inbox, arrival: Arrival) {
    inbox.on_publish(arrival, || message("x"));
}

fn read(inbox: &Inbox) -> Vec<u64> {
    inbox.held.borrow_mut().take(100, 1000).iter().map(|incoming| incoming.item).collect()
}

fn stored(inbox: &Inbox, item: u64) {
    inbox.settle(item, Settled::Stored { id: "1".into() });
}

fn refused(inbox: &Inbox, item: u64, code: Code) {
    let retry_after = code.retryable().then_some(Duration::ZERO);
    inbox.settle(item, Settled::Refused { fault: Fault::new(code, "no"), retry_after });
}

fn acked(inbox: &Inbox) -> Vec<u16> {
    inbox.take_acks().iter().map(|ack| ack.packet_id).collect()
}

/// One and the same message, as the broker sends it after a lost connection.
fn repeated(packet_id: u16, qos: Qos) -> Arrival {
    Arrival { is_duplicate: true, ..arrival(packet_id, qos) }
}

#[test]
fn acks_go_out_in_the_order_of_arrival_and_none_before_its_message_is_stored() {
    let inbox = connected();
    for packet_id in 1..=3 {
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    let items = read(&inbox);
    stored(&inbox, items[2]);
    stored(&inbox, items[1]);
    assert!(acked(&inbox).is_empty());
    stored(&inbox, items[0]);
    assert_eq!(acked(&inbox), [1, 2, 3]);
    // The host's second word does not count.
    stored(&inbox, items[0]);
    assert!(acked(&inbox).is_empty());
}

#[test]
fn a_full_window_is_not_read_beyond() {
    let inbox = connected();
    for packet_id in 1..=4 {
        assert!(inbox.has_room());
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    assert!(!inbox.has_room());
    let first = read(&inbox)[0];
    stored(&inbox, first);
    assert_eq!(acked(&inbox), [1]);
    assert!(inbox.has_room());
    inbox.on_publish(arrival(5, Qos::AtLeastOnce), || message(&"x".repeat(2000)));
    assert!(!inbox.has_room());
}

#[test]
fn a_refused_message_is_offered_again_before_those_behind_it() {
    let inbox = connected();
    for packet_id in 1..=3 {
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    let items = read(&inbox);
    refused(&inbox, items[1], Code::LimitRate);
    stored(&inbox, items[0]);
    refused(&inbox, items[2], Code::LimitRate);
    assert_eq!(acked(&inbox), [1]);
    arrive(&inbox, arrival(4, Qos::AtLeastOnce));
    // Under new numbers, which are odd.
    assert_eq!(read(&inbox), [1, 3, 6]);
    stored(&inbox, 1);
    stored(&inbox, 3);
    assert_eq!(acked(&inbox), [2, 3]);
}

#[test]
fn a_message_that_is_refused_for_good_does_not_stay_in_the_window() {
    let inbox = connected();
    for packet_id in 1..=2 {
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    let items = read(&inbox);
    refused(&inbox, items[0], Code::NatsMaxPayload);
    stored(&inbox, items[1]);
    let acks = inbox.take_acks();
    assert_eq!(acks.iter().map(|ack| ack.refused).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_message_that_waits_for_the_operator_does_not_hold_up_others() {
    let inbox = connected();
    for packet_id in 1..=2 {
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    let items = read(&inbox);
    refused(&inbox, items[0], Code::NatsRefused);
    assert_eq!(inbox.health(), Health::Failing(Code::NatsRefused));
    stored(&inbox, items[1]);
    assert_eq!((acked(&inbox), inbox.health()), (vec![2], Health::Up));
    inbox.held.borrow_mut().later[0].0 = Instant::now();
    assert_eq!(read(&inbox), [1]);
    // The former number is nobody's.
    stored(&inbox, items[0]);
    assert!(acked(&inbox).is_empty());
    stored(&inbox, 1);
    assert_eq!(acked(&inbox), [1]);
}

#[test]
fn what_a_resumed_session_repeats_is_not_taken_twice() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let inbox = connected();
        for packet_id in 1..=3 {
            arrive(&inbox, arrival(packet_id, qos));
        }
        let items = read(&inbox);
        inbox.on_lost(Code::MqttDisconnected);
        // Stored while nobody can be told.
        stored(&inbox, items[1]);
        inbox.on_connected(true);
        stored(&inbox, items[2]);
        for packet_id in 1..=3 {
            arrive(&inbox, repeated(packet_id, qos));
        }
        assert!(read(&inbox).is_empty());
        stored(&inbox, items[0]);
        assert_eq!(acked(&inbox), [1, 2, 3], "{qos:?}");
    }
}

#[test]
fn what_is_stored_before_it_is_repeated_is_acked_then() {
    let inbox = connected();
    for packet_id in 1..=4 {
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
    }
    let items = read(&inbox);
    inbox.on_lost(Code::MqttDisconnected);
    stored(&inbox, items[0]);
    inbox.on_connected(true);
    stored(&inbox, items[1]);
    stored(&inbox, items[2]);
    // None of them takes room.
    assert!(acked(&inbox).is_empty() && inbox.has_room());
    arrive(&inbox, repeated(1, Qos::AtLeastOnce));
    arrive(&inbox, repeated(2, Qos::AtLeastOnce));
    assert_eq!(acked(&inbox), [1, 2]);
    // The broker has let go of the others: another client of the group has them.
    arrive(&inbox, arrival(9, Qos::AtLeastOnce));
    assert_eq!(read(&inbox), [8]);
    stored(&inbox, items[3]);
    stored(&inbox, 8);
    assert_eq!(acked(&inbox), [9]);
    assert!(inbox.held.borrow().messages.is_empty());
}

/// The broker has none of the acks, and repeats it all before it comes to what waits here for its repetition.
#[test]
fn what_waits_for_its_repetition_does_not_keep_the_connection_from_being_read() {
    let inbox = connected();
    let take = |arrival: Arrival| {
        arrive(&inbox, arrival);
        let items = read(&inbox);
        items.iter().for_each(|item| stored(&inbox, *item));
    };
    (1..=4).for_each(|packet_id| take(arrival(packet_id, Qos::AtLeastOnce)));
    assert_eq!(acked(&inbox), [1, 2, 3, 4]);
    arrive(&inbox, arrival(5, Qos::AtLeastOnce));
    inbox.on_lost(Code::MqttDisconnected);
    read(&inbox).iter().for_each(|item| stored(&inbox, *item));
    inbox.on_connected(true);
    for packet_id in 1..=4 {
        assert!(inbox.has_room(), "{packet_id}");
        take(repeated(packet_id, Qos::AtLeastOnce));
        assert_eq!(acked(&inbox), [packet_id]);
    }
    assert!(inbox.has_room());
    arrive(&inbox, repeated(5, Qos::AtLeastOnce));
    take(arrival(6, Qos::AtLeastOnce));
    assert_eq!(acked(&inbox), [5, 6]);
}

#[test]
fn a_message_that_waits_for_the_operator_takes_its_own_room_and_no_more() {
    let inbox = connected();
    arrive(&inbox, arrival(1, Qos::AtLeastOnce));
    refused(&inbox, read(&inbox)[0], Code::NatsRefused);
    for packet_id in 2..=20 {
        assert!(inbox.has_room(), "{packet_id}");
        arrive(&inbox, arrival(packet_id, Qos::AtLeastOnce));
        let items = read(&inbox);
        stored(&inbox, items[0]);
        assert_eq!(acked(&inbox), [packet_id]);
    }
    assert_eq!(inbox.held.borrow().messages.len(), 1);
}

#[test]
fn what_a_forgotten_session_left_is_read_to_its_end() {
    let inbox = connected();
    arrive(&inbox, arrival(1, Qos::AtLeastOnce));
    inbox.on_lost(Code::MqttDisconnected);
    inbox.on_connected(false);
    arrive(&inbox, arrival(2, Qos::AtLeastOnce));
    inbox.begin_close();
    // The broker has the second one only.
    assert_eq!(read(&inbox), [0]);
}

#[test]
fn a_number_that_names_another_message_now_is_a_new_message() {
    let inbox = connected();
    arrive(&inbox, arrival(1, Qos::AtLeastOnce));
    assert_eq!(read(&inbox), [0]);
    inbox.on_lost(Code::MqttDisconnected);
    inbox.on_connected(true);
    arrive(&inbox, Arrival { digest: 99, ..repeated(1, Qos::AtLeastOnce) });
    assert_eq!(read(&inbox), [2]);
    stored(&inbox, 0);
    assert!(acked(&inbox).is_empty());
    stored(&inbox, 2);
    assert_eq!(acked(&inbox), [1]);
}

#[test]
fn a_forgotten_session_acks_nothing_of_the_former_one() {
    let inbox = connected();
    arrive(&inbox, arrival(1, Qos::ExactlyOnce));
    arrive(&inbox, arrival(2, Qos::ExactlyOnce));
    assert_eq!(read(&inbox), [0, 2]);
    stored(&inbox, 0);
    assert_eq!(acked(&inbox), [1]);
    inbox.on_lost(Code::MqttDisconnected);
    inbox.on_connected(false);
    stored(&inbox, 2);
    assert!(acked(&inbox).is_empty());
    // Message 1 is another one now, though the number is known.
    arrive(&inbox, repeated(1, Qos::ExactlyOnce));
    assert_eq!(read(&inbox), [4]);
}

#[test]
fn a_recorded_message_of_qos_2_is_acked_again_until_it_is_released() {
    let inbox = connected();
    arrive(&inbox, arrival(1, Qos::ExactlyOnce));
    assert_eq!(read(&inbox), [0]);
    stored(&inbox, 0);
    assert_eq!(acked(&inbox), [1]);
    inbox.on_lost(Code::MqttDisconnected);
    inbox.on_connected(true);
    arrive(&inbox, repeated(1, Qos::ExactlyOnce));
    assert_eq!(acked(&inbox), [1]);
    inbox.on_pubrel(1);
    arrive(&inbox, arrival(1, Qos::ExactlyOnce));
    assert_eq!(read(&inbox), [2]);
}

#[test]
fn what_is_not_read_stays_with_the_broker_at_the_end() {
    harness::run(async {
        let inbox = connected();
        arrive(&inbox, arrival(1, Qos::AtLeastOnce));
        assert_eq!(read(&inbox), [0]);
        arrive(&inbox, arrival(2, Qos::AtLeastOnce));
        arrive(&inbox, arrival(0, Qos::AtMostOnce));
        inbox.begin_close();
        assert!(!inbox.is_done() && !inbox.has_room());
        // QoS 0 exists nowhere else.
        assert_eq!(read(&inbox), [4]);
        stored(&inbox, 4);
        stored(&inbox, 0);
        assert_eq!(acked(&inbox), [1]);
        assert!(inbox.is_done());
        inbox.end();
        let ended = inbox.read_batch(1, 1, Duration::from_secs(60)).await;
        assert_eq!(ended.unwrap_err(), ConnectorError::EndOfInput);
    });
}
