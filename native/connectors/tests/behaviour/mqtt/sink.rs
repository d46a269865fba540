//! An out: delivered is what the broker has taken, and nothing else is.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use connectors::http::AddressPolicy;
use connectors::mqtt::{Broker, MqttSink, Qos, SinkOptions, TopicTemplate, Version};
use connectors::{Delivery, Health, Outcome, Sink};
use harness::{Mosquitto, run};
use message::Code;

use super::host::{VERSIONS, at, loopback, options as source_options, read, source, store, texts};
use super::liar::{CONNECT, DISCONNECT, PUBLISH, PUBREL, Peer, broker, connack};
use crate::delivery::json;

fn options(broker: Broker, qos: Qos) -> SinkOptions {
    let topic = TopicTemplate::parse("orders/1").unwrap();
    SinkOptions { qos, ..SinkOptions::new(broker, "vrsky_acme_orders_out", topic) }
}

fn sink(options: SinkOptions) -> MqttSink {
    MqttSink::new(options, &loopback()).unwrap()
}

fn code(outcome: &Outcome) -> Result<(), (Code, bool)> {
    match outcome {
        Outcome::Delivered => Ok(()),
        Outcome::Retry { fault, .. } => Err((fault.code(), true)),
        Outcome::Permanent(fault) => Err((fault.code(), false)),
    }
}

async fn deliver(sink: &MqttSink, delivery: Delivery<'_>) -> Result<(), (Code, bool)> {
    code(&sink.write_batch(&[delivery]).await[0])
}

#[test]
fn messages_arrive_with_each_version_and_qos() {
    run(async {
        for (version, qos) in VERSIONS
            .into_iter()
            .flat_map(|version| [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce].map(|qos| (version, qos)))
        {
            let broker = Mosquitto::start();
            let mut subscriber = broker.subscribe(&["-t", "#", "-q", "2", "-F", "%t %q %p"]);
            let sink = sink(options(at(&broker, version), qos));
            sink.connect().await.unwrap();
            let texts: Vec<String> = (0..200).map(|number| number.to_string()).collect();
            let batch: Vec<Delivery<'_>> = texts.iter().map(|text| json(text)).collect();
            assert!(sink.write_batch(&batch).await.iter().all(|outcome| matches!(outcome, Outcome::Delivered)));
            for text in texts {
                assert_eq!(subscriber.line(), format!("orders/1 {} {text}", qos.level()));
            }
            sink.close().await;
        }
    });
}

#[test]
fn properties_content_type_topic_and_expiry_go_with_a_message() {
    run(async {
        let broker = Mosquitto::start();
        let format = "%t|%C|%E|%P|%p";
        let mut subscriber = broker.subscribe(&["-V", "5", "-t", "#", "-q", "1", "-F", format]);
        let options = SinkOptions {
            topic: TopicTemplate::parse("sensors/{device.id}/state").unwrap(),
            message_expiry: Some(Duration::from_secs(60)),
            properties: vec![("site".into(), "north".into())],
            ..options(at(&broker, Version::V5), Qos::AtLeastOnce)
        };
        let sink = sink(options);
        let headers = b"NATS/1.0\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nCustomer-ID: acme\r\nce-type: order\r\n\r\n";
        let delivery = Delivery { headers, address: Some("sensors/d7/state"), ..json("{}") };
        assert_eq!(deliver(&sink, delivery).await, Ok(()));
        let line = subscriber.line();
        let (topic, rest) = line.split_once('|').unwrap();
        assert_eq!(topic, "sensors/d7/state");
        assert!(rest.starts_with("application/json|60|") && rest.ends_with("|{}"), "{rest}");
        for pair in
            ["Idempotency-Key:1", "traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-", "ce-type:order", "site:north"]
        {
            assert!(rest.contains(pair), "{rest}");
        }
        assert!(!rest.contains("Customer"), "{rest}");
        // A topic that was not filled in, or that is none, is no topic.
        for address in [None, Some("a/+/b"), Some("a/#"), Some("$SYS/x"), Some("a\0b"), Some("")] {
            let refused = deliver(&sink, Delivery { address, ..json("{}") }).await;
            assert_eq!(refused, Err((Code::MqttTopicInvalid, false)), "{address:?}");
        }
    });
}

/// An out that leads back to the in that its messages come from, at a real broker.
#[test]
fn a_message_that_goes_round_ends_after_fifteen_rounds() {
    run(async {
        let broker = Mosquitto::start();
        let from = source(source_options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        let to = sink(options(at(&broker, Version::V5), Qos::AtLeastOnce));
        broker.publish(&["-t", "orders/1", "-q", "1"], "round\n");
        let mut rounds = 0;
        let ended = loop {
            let messages = read(&from, 1).await;
            store(&from, &messages);
            let headers = [b"NATS/1.0\r\n", &messages[0].headers[..], b"\r\n"].concat();
            match deliver(&to, Delivery { headers: &headers, ..json("round") }).await {
                Ok(()) => rounds += 1,
                Err(ended) => break ended,
            }
        };
        assert_eq!((rounds, ended), (15, (Code::MqttLoop, false)));
    });
}

#[test]
fn a_kept_message_is_there_for_whoever_comes_later() {
    run(async {
        let broker = Mosquitto::start();
        let options = SinkOptions { retain: true, ..options(at(&broker, Version::V5), Qos::AtLeastOnce) };
        assert_eq!(deliver(&sink(options), json("kept")).await, Ok(()));
        let mut subscriber = broker.subscribe(&["-t", "orders/1", "-F", "%r %p"]);
        assert_eq!(subscriber.line(), "1 kept");
    });
}

#[test]
fn what_was_delivered_is_there_after_the_broker_was_killed() {
    run(async {
        let mut broker = Mosquitto::with_config("allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0");
        let reader = source(source_options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        super::host::close(reader).await;
        let sink = sink(options(at(&broker, Version::V5), Qos::AtLeastOnce));
        let lines: Vec<String> = (0..100).map(|number| format!("{number:03}")).collect();
        let batch: Vec<Delivery<'_>> = lines.iter().map(|line| json(line)).collect();
        assert!(sink.write_batch(&batch[..50]).await.iter().all(|outcome| code(outcome).is_ok()));
        broker.save();
        broker.kill();
        // Not one is said to be delivered that nobody has taken.
        for outcome in sink.write_batch(&batch[50..]).await {
            assert!(matches!(code(&outcome), Err((Code::MqttConnect | Code::MqttDisconnected, true))));
        }
        assert_ne!(sink.connect().await, Ok(()));
        assert_eq!(sink.health(), Health::Failing(Code::MqttConnect));
        broker.restart();
        assert!(sink.write_batch(&batch[50..]).await.iter().all(|outcome| code(outcome).is_ok()));
        assert_eq!(sink.health(), Health::Up);
        let reader = source(source_options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        let mut seen = BTreeSet::new();
        while seen.len() < 100 {
            let messages = read(&reader, 1).await;
            store(&reader, &messages);
            seen.extend(texts(&messages));
        }
        assert!(seen.into_iter().eq(lines));
    });
}

#[test]
fn a_message_that_the_broker_does_not_take_for_its_size_is_permanent_and_others_go_on() {
    run(async {
        let broker = Mosquitto::with_config("allow_anonymous true\nmax_packet_size 1000");
        let sink = sink(options(at(&broker, Version::V5), Qos::AtLeastOnce));
        let large = "x".repeat(2000);
        let outcomes = sink.write_batch(&[json("a"), json(&large), json("b")]).await;
        let codes: Vec<_> = outcomes.iter().map(code).collect();
        assert_eq!(codes, [Ok(()), Err((Code::MqttPacketTooLarge, false)), Ok(())]);
    });
}

#[test]
fn a_topic_that_may_not_be_written_is_permanent() {
    run(async {
        let folder = harness::Folder::new();
        let access = folder.path().join("access");
        std::fs::write(&access, "topic read #\n").unwrap();
        let broker = Mosquitto::with_config(&format!("allow_anonymous true\nacl_file {}", access.display()));
        let sink = sink(options(at(&broker, Version::V5), Qos::AtLeastOnce));
        assert_eq!(deliver(&sink, json("{}")).await, Err((Code::MqttForbidden, false)));
    });
}

/// A broker that takes messages, and answers the `n`th with what `answer` makes of its packet id.
async fn answering(version: Version, connack: Vec<u8>, answer: impl Fn(usize, [u8; 2]) -> Vec<u8> + 'static) -> Broker {
    let answer = Rc::new(answer);
    broker(version, move |mut peer: Peer, _| {
        let (connack, answer) = (connack.clone(), Rc::clone(&answer));
        async move {
            peer.expect(CONNECT).await;
            peer.send(&connack).await;
            let mut seen = 0;
            while let Some((kind, body)) = peer.packet().await {
                if kind == PUBLISH {
                    peer.send(&answer(seen, [body[10], body[11]])).await;
                    seen += 1;
                }
            }
        }
    })
    .await
}

#[test]
fn each_answer_of_a_broker_is_an_outcome_of_its_message() {
    run(async {
        let reasons = [0x00, 0x10, 0x87, 0x97, 0x99, 0x80];
        let answer = move |number: usize, id: [u8; 2]| vec![0x40, 3, id[0], id[1], reasons[number]];
        let at = answering(Version::V5, connack(Version::V5, false, 0), answer).await;
        let sink = sink(options(at, Qos::AtLeastOnce));
        let outcomes = sink.write_batch(&[json("1"), json("2"), json("3"), json("4"), json("5"), json("6")]).await;
        let codes: Vec<_> = outcomes.iter().map(code).collect();
        let expected = [
            Ok(()),
            Ok(()),
            Err((Code::MqttForbidden, false)),
            Err((Code::MqttQuotaExceeded, true)),
            Err((Code::MqttPayloadRefused, false)),
            Err((Code::MqttRejected, true)),
        ];
        assert_eq!(codes, expected);
    });
}

#[test]
fn a_broker_that_never_answers_is_a_timeout_and_gets_a_new_connection() {
    run(async {
        let first = Cell::new(true);
        let answer = move |_: usize, id: [u8; 2]| if first.take() { Vec::new() } else { vec![0x40, 2, id[0], id[1]] };
        let at = answering(Version::V3, connack(Version::V3, false, 0), answer).await;
        let options = SinkOptions { timeout: Duration::from_millis(100), ..options(at, Qos::AtLeastOnce) };
        let sink = sink(options);
        assert_eq!(deliver(&sink, json("{}")).await, Err((Code::MqttTimeout, true)));
        let mut last = Err((Code::MqttTimeout, true));
        while last.is_err() {
            last = deliver(&sink, json("{}")).await;
        }
    });
}

#[test]
fn qos_2_is_delivered_when_it_is_complete() {
    run(async {
        for version in VERSIONS {
            let at = broker(version, move |mut peer: Peer, connection| async move {
                peer.expect(CONNECT).await;
                peer.send(&connack(version, false, 0)).await;
                let body = peer.expect(PUBLISH).await;
                peer.send(&[0x50, 2, body[10], body[11]]).await;
                let released = peer.expect(PUBREL).await;
                assert_eq!(released[..2], body[10..12]);
                // The first time it leaves in the middle.
                if connection > 0 {
                    peer.send(&[0x70, 2, body[10], body[11]]).await;
                    peer.expect(DISCONNECT).await;
                }
            })
            .await;
            let sink = sink(options(at, Qos::ExactlyOnce));
            assert_eq!(deliver(&sink, json("{}")).await, Err((Code::MqttDisconnected, true)));
            assert_eq!(deliver(&sink, json("{}")).await, Ok(()));
            sink.close().await;
        }
    });
}

#[test]
fn no_more_wait_for_the_broker_than_it_allows() {
    run(async {
        // Receive Maximum: 2.
        let connack = vec![0x20, 6, 0, 0, 3, 0x21, 0, 2];
        let at = broker(Version::V5, move |mut peer: Peer, _| {
            let connack = connack.clone();
            async move {
                peer.expect(CONNECT).await;
                peer.send(&connack).await;
                for _ in 0..5 {
                    let (one, two) = (peer.expect(PUBLISH).await, peer.expect(PUBLISH).await);
                    assert!(!peer.has_more().await, "a third before the first is answered");
                    for body in [one, two] {
                        peer.send(&[0x40, 2, body[10], body[11]]).await;
                    }
                }
                peer.wait_for_the_end().await;
            }
        })
        .await;
        let sink = sink(options(at, Qos::AtLeastOnce));
        let batch: Vec<Delivery<'_>> = (0..10).map(|_| json("{}")).collect();
        assert!(sink.write_batch(&batch).await.iter().all(|outcome| code(outcome).is_ok()));
    });
}

#[test]
fn what_a_broker_does_not_offer_is_said_before_anything_is_sent() {
    run(async {
        // Maximum QoS: 0. Retain Available: 0.
        let connack = vec![0x20, 7, 0, 0, 4, 0x24, 0, 0x25, 0];
        let at = answering(Version::V5, connack, |_, _| Vec::new()).await;
        let strict = sink(options(at.clone(), Qos::AtLeastOnce));
        assert_eq!(strict.connect().await.unwrap_err().code(), Code::MqttNotSupported);
        let kept = sink(SinkOptions { retain: true, ..options(at.clone(), Qos::AtMostOnce) });
        assert_eq!(deliver(&kept, json("{}")).await, Err((Code::MqttNotSupported, true)));
        assert_eq!(deliver(&sink(options(at, Qos::AtMostOnce)), json("{}")).await, Ok(()));
    });
}

#[test]
fn a_check_connects_and_leaves_nothing_behind() {
    run(async {
        let broker = Mosquitto::start();
        let sink = sink(options(at(&broker, Version::V5), Qos::AtLeastOnce));
        assert_eq!(sink.check().await, Ok(()));
        let away =
            MqttSink::new(options(at(&broker, Version::V5), Qos::AtLeastOnce), &AddressPolicy::default()).unwrap();
        assert_eq!(away.check().await.unwrap_err().code(), Code::MqttRefusedAddress);
        assert_eq!(deliver(&away, json("{}")).await, Err((Code::MqttRefusedAddress, false)));
    });
}
