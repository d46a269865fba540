//! A broker that does it wrong: the process lives, says what was wrong, and takes up again where it was.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use connectors::mqtt::{Broker, MqttSource, Qos, SourceOptions, Version};
use connectors::{ConnectorError, Health, Source};
use harness::run;
use message::Code;
use proptest::prelude::*;
use tokio::sync::Notify;

use super::host::{VERSIONS, connect, loopback, options, read, source, store, texts};
use super::liar::{PUBACK, PUBCOMP, PUBREC, Peer, broker, connack, publish, suback};

/// What the source makes of a broker that answers CONNECT with this.
async fn answered(version: Version, bytes: Vec<u8>) -> Code {
    let bytes = Rc::new(bytes);
    let at = broker(version, move |mut peer: Peer, _| {
        let bytes = Rc::clone(&bytes);
        async move {
            peer.expect(super::liar::CONNECT).await;
            peer.send(&bytes).await;
        }
    })
    .await;
    let source = MqttSource::new(options(at, Qos::AtLeastOnce), &loopback()).unwrap();
    source.connect().await.unwrap_err().code()
}

/// What becomes of a connected source whose broker sends this.
async fn sent(version: Version, bytes: Vec<u8>) -> Health {
    let bytes = Rc::new(bytes);
    let at = broker(version, move |mut peer: Peer, _| {
        let bytes = Rc::clone(&bytes);
        async move {
            peer.welcome(version, false, 1).await;
            peer.send(&bytes).await;
            peer.wait_for_the_end().await;
        }
    })
    .await;
    let source = source(SourceOptions { window: 2, ..options(at, Qos::AtLeastOnce) }).await;
    let ended = loop {
        match source.read_batch(1, 1, Duration::from_secs(60)).await {
            Ok(messages) => assert!(!messages.is_empty()),
            Err(error) => break error,
        }
    };
    assert_eq!(ended, ConnectorError::NotConnected);
    source.health()
}

#[test]
fn each_refusal_of_connect_is_typed() {
    run(async {
        for (number, code) in [
            (1, Code::MqttVersion),
            (2, Code::MqttClientId),
            (3, Code::MqttUnavailable),
            (4, Code::MqttUnauthorized),
            (5, Code::MqttForbidden),
        ] {
            assert_eq!(answered(Version::V3, connack(Version::V3, false, number)).await, code);
        }
        for (number, code) in [
            (0x80, Code::MqttRejected),
            (0x84, Code::MqttVersion),
            (0x85, Code::MqttClientId),
            (0x86, Code::MqttUnauthorized),
            (0x87, Code::MqttForbidden),
            (0x88, Code::MqttUnavailable),
            (0x89, Code::MqttUnavailable),
            (0x8a, Code::MqttForbidden),
            (0x8c, Code::MqttUnauthorized),
            (0x95, Code::MqttPacketTooLarge),
            (0x97, Code::MqttQuotaExceeded),
            (0x9c, Code::MqttServerMoved),
            (0x9d, Code::MqttServerMoved),
            (0x9f, Code::MqttUnavailable),
        ] {
            assert_eq!(answered(Version::V5, connack(Version::V5, false, number)).await, code, "{number:#x}");
        }
        // A broker of 3.1.1, one that hangs up, one of another protocol.
        assert_eq!(answered(Version::V5, connack(Version::V3, false, 1)).await, Code::MqttVersion);
        assert_eq!(answered(Version::V5, Vec::new()).await, Code::MqttDisconnected);
        assert_eq!(answered(Version::V3, b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(4)).await, Code::MqttMalformed);
        assert_eq!(answered(Version::V3, publish(Version::V3, 1, 1, false, b"early")).await, Code::MqttMalformed);
    });
}

#[test]
fn a_refused_subscription_is_typed_and_a_lower_qos_than_asked_for_is_one() {
    run(async {
        for (version, reason, code) in [
            (Version::V3, 0, Code::MqttNotSupported),
            (Version::V3, 0x80, Code::MqttRejected),
            (Version::V5, 0, Code::MqttNotSupported),
            (Version::V5, 0x80, Code::MqttRejected),
            (Version::V5, 0x87, Code::MqttForbidden),
            (Version::V5, 0x8f, Code::MqttTopicInvalid),
            (Version::V5, 0x97, Code::MqttQuotaExceeded),
            (Version::V5, 0x9e, Code::MqttNotSupported),
            (Version::V5, 0xa2, Code::MqttNotSupported),
        ] {
            let at = broker(version, move |mut peer: Peer, _| async move {
                peer.welcome(version, false, reason).await;
                peer.wait_for_the_end().await;
            })
            .await;
            let source = MqttSource::new(options(at, Qos::AtLeastOnce), &loopback()).unwrap();
            assert_eq!(source.connect().await.unwrap_err().code(), code, "{version:?} {reason:#x}");
        }
    });
}

/// CONNACK of MQTT 5 with these properties.
fn connack_with(properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    [&[0x20, length + 3, 0, 0, length][..], properties].concat()
}

#[test]
fn a_broker_that_keeps_the_session_for_a_shorter_time_is_read_and_reported_once() {
    run(async {
        // Of each connection. 100 s are what is asked for.
        let granted: [Option<u32>; 7] = [Some(0), Some(0), Some(60), None, Some(100), Some(200), Some(60)];
        let at = broker(Version::V5, move |mut peer: Peer, number| async move {
            peer.expect(super::liar::CONNECT).await;
            let granted = granted[number.min(granted.len() - 1)];
            let property = granted.map(|seconds| [&[0x11][..], &seconds.to_be_bytes()].concat());
            peer.send(&connack_with(&property.unwrap_or_default())).await;
            let subscribe = peer.expect(super::liar::SUBSCRIBE).await;
            peer.send(&suback(Version::V5, [subscribe[0], subscribe[1]], 1)).await;
            peer.send(&publish(Version::V5, 1, 1, false, b"text")).await;
            // It hangs up when that is acked.
            peer.expect(PUBACK).await;
        })
        .await;
        let options = SourceOptions { session_expiry: Duration::from_secs(100), ..options(at, Qos::AtLeastOnce) };
        let source = MqttSource::new(options, &loopback()).unwrap();
        let mut reported = Vec::new();
        for _ in 0..granted.len() {
            connect(&source).await;
            assert_eq!(source.health(), Health::Up);
            let messages = source.read_batch(1, 1, Duration::from_secs(60)).await.unwrap();
            store(&source, &messages);
            while source.read_batch(1, 1, Duration::from_secs(60)).await.is_ok() {}
            let faults = source.take_item_faults();
            assert!(faults.iter().all(|fault| fault.code() == Code::MqttNotSupported));
            reported.push(faults.iter().map(|fault| fault.reason().to_owned()).collect::<Vec<_>>().concat());
        }
        let seconds = ["0 s", "", "60 s", "", "", "", "60 s"];
        for (reported, seconds) in reported.iter().zip(seconds) {
            assert!(reported.contains(seconds) && reported.is_empty() == seconds.is_empty(), "{reported}");
        }
    });
}

#[test]
fn a_subscribe_that_is_larger_than_the_broker_takes_is_said_to_be_ours() {
    run(async {
        let at = broker(Version::V5, move |mut peer: Peer, _| async move {
            peer.expect(super::liar::CONNECT).await;
            peer.send(&connack_with(&[0x27, 0, 0, 0, 10])).await;
            peer.wait_for_the_end().await;
        })
        .await;
        let source = MqttSource::new(options(at, Qos::AtLeastOnce), &loopback()).unwrap();
        let fault = source.connect().await.unwrap_err();
        assert_eq!(fault.code(), Code::MqttPacketTooLarge);
        assert!(fault.reason().contains("ours") && !fault.reason().contains("sent"), "{}", fault.reason());
    });
}

#[test]
fn a_packet_beyond_the_limit_is_refused_before_it_is_read() {
    run(async {
        for version in VERSIONS {
            // 256 MiB less one are announced, and the beginning sent.
            let mut packet = vec![0x32, 0xff, 0xff, 0xff, 0x7f];
            packet.extend(b"\x00\x08orders/1\x00\x01xxxx");
            assert_eq!(sent(version, packet).await, Health::Failing(Code::MqttPacketTooLarge));
            // A fifth byte of length is none of MQTT.
            let packet = vec![0x32, 0xff, 0xff, 0xff, 0xff, 0x01];
            assert_eq!(sent(version, packet).await, Health::Failing(Code::MqttMalformed));
        }
    });
}

#[test]
fn what_is_not_mqtt_ends_the_connection_and_nothing_else() {
    run(async {
        for version in VERSIONS {
            let number_0 = publish(version, 1, 0, false, b"x");
            let qos_3 = vec![0x36, 4, 0, 1, b'a', 0];
            let no_topic = vec![0x32, 5, 0, 0, 0, 1, 0];
            let no_utf8 = vec![0x32, 6, 0, 2, 0xc3, 0x28, 0, 1];
            let torn_topic = vec![0x32, 3, 0xff, 0xff, b'a'];
            let connack_again = connack(version, false, 0);
            let suback_of_nothing = suback(version, [0, 9], 1);
            let puback_of_nothing = vec![0x40, 2, 0, 9];
            let type_0 = vec![0x00, 0x00];
            let only_of_clients = vec![0xc0, 0x00];
            for bytes in [
                number_0,
                qos_3,
                no_topic,
                no_utf8,
                torn_topic,
                connack_again,
                suback_of_nothing,
                puback_of_nothing,
                type_0,
                only_of_clients,
            ] {
                let health = sent(version, bytes.clone()).await;
                assert_eq!(health, Health::Failing(Code::MqttMalformed), "{version:?} {bytes:02x?}");
            }
        }
        // DISCONNECT with a reason, in both of its forms.
        let shuts_down = vec![0xe0, 2, 0x8b, 0];
        assert_eq!(sent(Version::V5, shuts_down).await, Health::Failing(Code::MqttUnavailable));
        let taken_over = vec![0xe0, 1, 0x8e];
        assert_eq!(sent(Version::V5, taken_over).await, Health::Failing(Code::MqttSessionTaken));
    });
}

#[test]
fn a_broker_that_sends_more_at_a_time_than_was_agreed_is_left() {
    run(async {
        let at = broker(Version::V5, |mut peer: Peer, _| async move {
            peer.welcome(Version::V5, false, 1).await;
            for id in 1..=3 {
                peer.send(&publish(Version::V5, 1, id, false, b"x")).await;
            }
            // Not read, since the window is full: the third waits in the connection.
            assert_eq!(peer.expect(PUBACK).await[..2], [0, 1]);
            peer.wait_for_the_end().await;
        })
        .await;
        let source = source(SourceOptions { window: 2, ..options(at, Qos::AtLeastOnce) }).await;
        let messages = read(&source, 2).await;
        assert!(source.read_batch(1, 1, Duration::from_millis(1)).await.unwrap().is_empty());
        store(&source, &messages[..1]);
        assert_eq!(texts(&read(&source, 1).await), ["x"]);
    });
}

#[test]
fn packets_that_come_in_pieces_are_put_together() {
    run(async {
        for version in VERSIONS {
            let at = broker(version, move |mut peer: Peer, _| async move {
                peer.welcome(version, false, 1).await;
                for byte in publish(version, 1, 7, false, &[b'x'; 300]) {
                    peer.send(&[byte]).await;
                    tokio::task::yield_now().await;
                }
                let ack = peer.expect(PUBACK).await;
                assert_eq!(ack[..2], [0, 7]);
                peer.send(&publish(version, 1, 8, false, b"next")).await;
                peer.wait_for_the_end().await;
            })
            .await;
            let source = source(options(at, Qos::AtLeastOnce)).await;
            let messages = read(&source, 1).await;
            assert_eq!(messages[0].payload.len(), 300);
            store(&source, &messages);
            assert_eq!(texts(&read(&source, 1).await), ["next"]);
        }
    });
}

#[test]
fn a_broker_that_leaves_in_the_middle_of_qos_2_finds_everything_as_it_was() {
    run(async {
        for version in VERSIONS {
            let done = Rc::new(Notify::new());
            let signal = Rc::clone(&done);
            let at = broker(version, move |mut peer: Peer, connection| {
                let signal = Rc::clone(&signal);
                async move {
                    match connection {
                        0 => {
                            peer.welcome(version, false, 2).await;
                            peer.send(&publish(version, 2, 1, false, b"one")).await;
                            peer.send(&publish(version, 2, 2, false, b"two")).await;
                            // Stored, and said so; it leaves without PUBREL.
                            peer.expect(PUBREC).await;
                        }
                        1 => {
                            // 3.1.1 does not subscribe again: it would get what is kept again.
                            if version == Version::V3 {
                                peer.expect(super::liar::CONNECT).await;
                                peer.send(&connack(version, true, 0)).await;
                            } else {
                                peer.welcome(version, true, 2).await;
                            }
                            // PUBREC has not arrived: it sends both again.
                            peer.send(&publish(version, 2, 1, true, b"one")).await;
                            peer.send(&publish(version, 2, 2, true, b"two")).await;
                            assert_eq!(peer.expect(PUBREC).await[..2], [0, 1]);
                            peer.send(&[0x62, 2, 0, 1]).await;
                            // PUBCOMP for the first, PUBREC for the second, which is stored meanwhile.
                            let mut answers = [peer.packet().await.unwrap(), peer.packet().await.unwrap()];
                            answers.sort();
                            let answers = answers.map(|(kind, body)| (kind, body[1]));
                            assert_eq!(answers, [(PUBREC, 2), (PUBCOMP, 1)]);
                            peer.send(&publish(version, 2, 3, false, b"three")).await;
                            signal.notify_one();
                            peer.wait_for_the_end().await;
                        }
                        _ => panic!("a third connection"),
                    }
                }
            })
            .await;
            let source = source(options(at, Qos::ExactlyOnce)).await;
            let messages = read(&source, 2).await;
            assert_eq!(texts(&messages), ["one", "two"]);
            store(&source, &messages[..1]);
            let lost = source.read_batch(1, 1, Duration::from_secs(60)).await;
            assert_eq!(lost.unwrap_err(), ConnectorError::NotConnected);
            connect(&source).await;
            store(&source, &messages[1..]);
            assert_eq!(texts(&read(&source, 1).await), ["three"]);
            done.notified().await;
        }
    });
}

#[test]
fn a_broker_that_floods_instead_of_answering_is_read_no_further_than_there_is_room() {
    run(async {
        let at = broker(Version::V3, |mut peer: Peer, _| async move {
            peer.expect(super::liar::CONNECT).await;
            peer.send(&connack(Version::V3, false, 0)).await;
            loop {
                peer.send(&publish(Version::V3, 0, 0, false, b"x")).await;
            }
        })
        .await;
        let source = source(SourceOptions { window: 8, ..options(at, Qos::AtMostOnce) }).await;
        for _ in 0..10 {
            let messages = read(&source, 8).await;
            let more = source.read_batch(100, 1000, Duration::from_millis(1)).await.unwrap();
            assert!(more.is_empty(), "{}", more.len());
            store(&source, &messages);
        }
    });
}

/// The line takes all acks of a window with it. What the broker repeats is more than the window, and the last of it is
/// what was stored while nobody was connected.
#[test]
fn a_line_that_loses_the_acks_of_a_whole_window_holds_up_nothing() {
    const WINDOW: u16 = 8;
    const ALL: u16 = WINDOW + 3;
    run(async {
        for version in VERSIONS {
            let done = Rc::new(Notify::new());
            let signal = Rc::clone(&done);
            let at = broker(version, move |mut peer: Peer, connection| {
                let signal = Rc::clone(&signal);
                async move {
                    let send = |id: u16, is_duplicate| publish(version, 1, id, is_duplicate, id.to_string().as_bytes());
                    if connection == 0 {
                        peer.welcome(version, false, 1).await;
                        for id in 1..=WINDOW {
                            peer.send(&send(id, false)).await;
                        }
                        for _ in 1..=WINDOW {
                            peer.expect(PUBACK).await;
                        }
                        for id in WINDOW + 1..=ALL {
                            peer.send(&send(id, false)).await;
                        }
                        return;
                    }
                    if version == Version::V3 {
                        peer.expect(super::liar::CONNECT).await;
                        peer.send(&connack(version, true, 0)).await;
                    } else {
                        peer.welcome(version, true, 1).await;
                    }
                    for id in 1..=ALL {
                        peer.send(&send(id, true)).await;
                    }
                    peer.send(&send(ALL + 1, false)).await;
                    for id in 1..=ALL + 1 {
                        assert_eq!(peer.expect(PUBACK).await[..2], id.to_be_bytes());
                    }
                    signal.notify_one();
                    peer.wait_for_the_end().await;
                }
            })
            .await;
            let source = source(SourceOptions { window: WINDOW, ..options(at, Qos::AtLeastOnce) }).await;
            let first = read(&source, usize::from(WINDOW)).await;
            store(&source, &first);
            let in_hand = read(&source, 3).await;
            let lost = source.read_batch(1, 1, Duration::from_secs(60)).await;
            assert_eq!(lost.unwrap_err(), ConnectorError::NotConnected);
            store(&source, &in_hand);
            connect(&source).await;
            let again = async {
                loop {
                    let messages = read(&source, 1).await;
                    store(&source, &messages);
                }
            };
            tokio::select! {
                () = done.notified() => {}
                () = again => {}
            }
        }
    });
}

#[test]
fn a_client_says_who_it_is_and_keeps_its_session() {
    run(async {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let found = Rc::clone(&seen);
        let at = broker(Version::V5, move |mut peer: Peer, _| {
            let found = Rc::clone(&found);
            async move {
                let connect = peer.welcome(Version::V5, false, 1).await;
                found.borrow_mut().push(connect);
                peer.wait_for_the_end().await;
            }
        })
        .await;
        let at = Broker { user: Some("acme".into()), password: Some("secret".into()), ..at };
        let options = SourceOptions { session_expiry: Duration::from_secs(3600), ..options(at, Qos::AtLeastOnce) };
        super::host::close(source(options).await).await;
        let connect = seen.borrow_mut().pop().unwrap();
        // User and password, no clean start; the session's expiry and the limits are properties.
        assert_eq!(connect[..8], [0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0000]);
        let holds = |bytes: &[u8]| connect.windows(bytes.len()).any(|window| window == bytes);
        assert!(holds(&[0x11, 0, 0, 0x0e, 0x10]) && holds(&[0x21, 1, 0]) && holds(b"vrsky_acme_orders"));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever comes, the source says that the connection is gone, or goes on; it does not end the process.
    #[test]
    fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..16, is_v5 in any::<bool>()) {
        let version = if is_v5 { Version::V5 } else { Version::V3 };
        run(async move {
            let length = bytes.len().min(127) as u8;
            let mut packet = vec![kind << 4 | if kind == 6 { 2 } else { 0 }, length];
            packet.extend(&bytes[..usize::from(length)]);
            packet.extend(&bytes);
            let packet = Rc::new(packet);
            let at = broker(version, move |mut peer: Peer, _| {
                let packet = Rc::clone(&packet);
                async move {
                    peer.welcome(version, false, 1).await;
                    peer.send(&packet).await;
                }
            })
            .await;
            let source = source(options(at, Qos::AtLeastOnce)).await;
            while source.read_batch(10, 1000, Duration::from_secs(60)).await.is_ok() {}
            assert_ne!(source.health(), Health::Up);
        });
    }
}
