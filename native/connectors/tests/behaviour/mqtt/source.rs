//! A real broker: nothing that it has handed over is lost, and nothing is acked before it is stored.

use std::collections::BTreeSet;
use std::time::Duration;

use connectors::mqtt::{Qos, SourceOptions, Version};
use connectors::{Health, Settled, Source};
use harness::{Folder, Mosquitto, run};
use message::{Code, Fault};

use super::host::{VERSIONS, at, close, connect, header, options, read, source, store, texts};

const QOS: [Qos; 2] = [Qos::AtLeastOnce, Qos::ExactlyOnce];

fn level(qos: Qos) -> String {
    qos.level().to_string()
}

#[test]
fn a_message_is_acked_when_it_is_stored_and_not_before() {
    run(async {
        for (version, qos) in VERSIONS.into_iter().flat_map(|version| QOS.map(|qos| (version, qos))) {
            let broker = Mosquitto::start();
            let first = source(options(at(&broker, version), qos)).await;
            broker.publish(&["-t", "orders/1", "-q", &level(qos)], "one\ntwo\n");
            let messages = read(&first, 2).await;
            assert_eq!(texts(&messages), ["one", "two"]);
            store(&first, &messages[..1]);
            first.settle(
                messages[1].item,
                Settled::Refused { fault: Fault::new(Code::LimitRate, ""), retry_after: None },
            );
            close(first).await;
            let second = source(options(at(&broker, version), qos)).await;
            let again = read(&second, 1).await;
            assert_eq!((texts(&again), header(&again[0], "Mqtt-Qos")), (vec!["two".to_owned()], Some(level(qos))));
            store(&second, &again);
            close(second).await;
            let third = source(options(at(&broker, version), qos)).await;
            broker.publish(&["-t", "orders/1", "-q", &level(qos)], "three\n");
            assert_eq!(texts(&read(&third, 1).await), ["three"], "{version:?} {qos:?}");
        }
    });
}

#[test]
fn a_refused_message_is_offered_again_and_acked_once_it_is_stored() {
    run(async {
        let broker = Mosquitto::start();
        let source = source(options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        broker.publish(&["-t", "orders/1", "-q", "1"], "one\n");
        for _ in 0..3 {
            let messages = read(&source, 1).await;
            let fault = Fault::new(Code::LimitBacklog, "");
            source.settle(messages[0].item, Settled::Refused { fault, retry_after: Some(Duration::ZERO) });
        }
        let messages = read(&source, 1).await;
        assert_eq!(texts(&messages), ["one"]);
        source.settle(messages[0].item, Settled::Returned { payload: messages[0].payload.clone() });
        let messages = read(&source, 1).await;
        store(&source, &messages);
        close(source).await;
    });
}

#[test]
fn what_was_published_while_nobody_was_connected_arrives() {
    run(async {
        for version in VERSIONS {
            let broker = Mosquitto::start();
            close(source(options(at(&broker, version), Qos::AtLeastOnce)).await).await;
            broker.publish(&["-t", "orders/1", "-q", "1"], "one\n");
            let back = source(options(at(&broker, version), Qos::AtLeastOnce)).await;
            assert_eq!(texts(&read(&back, 1).await), ["one"]);
        }
    });
}

#[test]
fn a_backlog_of_any_length_is_read_when_a_session_is_resumed() {
    run(async {
        for (version, qos) in VERSIONS.into_iter().flat_map(|one| [(one, Qos::AtLeastOnce), (one, Qos::ExactlyOnce)]) {
            let broker = Mosquitto::start();
            let options = SourceOptions { window: 4, ..options(at(&broker, version), qos) };
            close(source(options.clone()).await).await;
            let lines: Vec<String> = (0..200).map(|number| number.to_string()).collect();
            broker.publish(&["-t", "orders/1", "-q", &level(qos)], &(lines.join("\n") + "\n"));
            // What is in flight when it ends is sent at once at the next start, however much it is.
            let mut seen = Vec::new();
            for part in [40, 60, 100] {
                let source = source(options.clone()).await;
                while seen.len() < lines.len() && seen.len() < part {
                    let messages = read(&source, 4).await;
                    seen.extend(texts(&messages));
                    store(&source, &messages);
                }
                close(source).await;
            }
            let source = source(options).await;
            while seen.len() < lines.len() {
                let messages = read(&source, 1).await;
                seen.extend(texts(&messages));
                store(&source, &messages);
            }
            close(source).await;
            assert_eq!(seen, lines, "{version:?} {qos:?}");
        }
    });
}

#[test]
fn a_killed_broker_loses_nothing_that_it_had_saved() {
    run(async {
        for (version, qos) in VERSIONS.into_iter().flat_map(|version| QOS.map(|qos| (version, qos))) {
            let mut broker =
                Mosquitto::with_config("allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0");
            close(source(options(at(&broker, version), qos)).await).await;
            let lines: Vec<String> = (0..500).map(|number| format!("{number:04}")).collect();
            broker.publish(&["-t", "orders/1", "-q", &level(qos)], &(lines.join("\n") + "\n"));
            broker.save();
            let source = source(options(at(&broker, version), qos)).await;
            let mut stored = BTreeSet::new();
            // Some are stored, some are in hand, some are with the broker.
            let first = read(&source, 100).await;
            store(&source, &first[..50]);
            stored.extend(texts(&first[..50]));
            broker.kill();
            store(&source, &first[50..75]);
            stored.extend(texts(&first[50..75]));
            broker.restart();
            connect(&source).await;
            store(&source, &first[75..]);
            stored.extend(texts(&first[75..]));
            while stored.len() < lines.len() {
                let messages = read(&source, 1).await;
                store(&source, &messages);
                stored.extend(texts(&messages));
            }
            assert!(stored.into_iter().eq(lines), "{version:?} {qos:?}");
            assert_eq!(source.health(), Health::Up);
        }
    });
}

#[test]
fn a_lost_broker_is_said_and_found_again() {
    run(async {
        let mut broker = Mosquitto::start();
        let source = source(options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        broker.kill();
        let lost = source.read_batch(1, 1, Duration::from_secs(60)).await;
        assert_eq!(lost.unwrap_err(), connectors::ConnectorError::NotConnected);
        assert_eq!(source.health(), Health::Failing(Code::MqttDisconnected));
        assert_eq!(source.connect().await.unwrap_err().code(), Code::MqttConnect);
        broker.restart();
        connect(&source).await;
        broker.publish(&["-t", "orders/1", "-q", "1"], "one\n");
        assert_eq!(texts(&read(&source, 1).await), ["one"]);
        assert_eq!(source.health(), Health::Up);
    });
}

#[test]
fn no_more_is_taken_than_the_window_allows() {
    run(async {
        for version in VERSIONS {
            let broker = Mosquitto::start();
            let options = SourceOptions { window: 4, ..options(at(&broker, version), Qos::AtLeastOnce) };
            let source = source(options).await;
            let lines: Vec<String> = (0..100).map(|number| number.to_string()).collect();
            broker.publish(&["-t", "orders/1", "-q", "1"], &(lines.join("\n") + "\n"));
            let mut seen = Vec::new();
            while seen.len() < 100 {
                let messages = read(&source, 4).await;
                let more = source.read_batch(100, 1000, Duration::from_millis(1)).await.unwrap();
                assert!(more.is_empty());
                seen.extend(texts(&messages));
                store(&source, &messages);
            }
            assert_eq!(seen, lines, "{version:?}");
        }
    });
}

#[test]
fn a_group_shares_the_messages_of_a_topic() {
    run(async {
        let broker = Mosquitto::start();
        let member = |client_id: &str| SourceOptions {
            client_id: client_id.into(),
            group: Some("vrsky".into()),
            ..options(at(&broker, Version::V5), Qos::AtLeastOnce)
        };
        let (one, two) = (source(member("one")).await, source(member("two")).await);
        broker.publish(&["-t", "orders/1", "-q", "1"], "1\n2\n3\n4\n");
        let mut seen = texts(&read(&one, 2).await);
        seen.extend(texts(&read(&two, 2).await));
        seen.sort();
        assert_eq!(seen, ["1", "2", "3", "4"]);
    });
}

#[test]
fn topic_properties_and_content_type_come_with_a_message() {
    run(async {
        let broker = Mosquitto::start();
        let options = options(at(&broker, Version::V5), Qos::AtLeastOnce);
        let source = source(SourceOptions { properties: vec!["site".into()], ..options }).await;
        let user = ["-D", "publish", "user-property"];
        let arguments =
            [&["-V", "5", "-t", "orders/küche", "-q", "1"][..], &user, &["site", "north"], &user, &["x", "y"]];
        let arguments = [&arguments.concat()[..], &["-D", "publish", "content-type", "application/json"]].concat();
        broker.publish(&arguments, "{}\n");
        let message = &read(&source, 1).await[0];
        assert_eq!(header(message, "Mqtt-Topic").as_deref(), Some("orders/küche"));
        assert_eq!(header(message, "Mqtt-Property-site").as_deref(), Some("north"));
        assert_eq!((header(message, "Mqtt-Property-x"), header(message, "Mqtt-Retain")), (None, None));
        assert_eq!(&*message.content_type, "application/json");
    });
}

#[test]
fn a_kept_message_says_that_it_was_kept() {
    run(async {
        for version in VERSIONS {
            let broker = Mosquitto::start();
            broker.publish(&["-t", "orders/1", "-q", "1", "-r"], "kept\n");
            let source = source(options(at(&broker, version), Qos::AtLeastOnce)).await;
            let messages = read(&source, 1).await;
            assert_eq!(texts(&messages), ["kept"]);
            assert_eq!(header(&messages[0], "Mqtt-Retain").as_deref(), Some("true"));
            store(&source, &messages);
            close(source).await;
        }
    });
}

#[test]
fn qos_0_is_taken_at_most_once() {
    run(async {
        let broker = Mosquitto::start();
        let source = source(options(at(&broker, Version::V5), Qos::AtMostOnce)).await;
        broker.publish(&["-t", "orders/1", "-q", "1"], "one\n");
        let messages = read(&source, 1).await;
        assert_eq!(header(&messages[0], "Mqtt-Qos").as_deref(), Some("0"));
        store(&source, &messages);
        close(source).await;
    });
}

#[test]
fn a_second_client_with_the_same_id_takes_the_session_over() {
    run(async {
        let broker = Mosquitto::start();
        let first = source(options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        let second = source(options(at(&broker, Version::V5), Qos::AtLeastOnce)).await;
        assert!(first.read_batch(1, 1, Duration::from_secs(60)).await.is_err());
        assert_ne!(first.health(), Health::Up);
        assert_eq!(second.health(), Health::Up);
    });
}

/// Of a pipeline that names these topics.
fn naming(broker: &Mosquitto, version: Version, state: &Folder, topics: &[&str], group: Option<&str>) -> SourceOptions {
    SourceOptions {
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        group: group.map(str::to_owned),
        state: Some(state.path().join("state")),
        is_alone: true,
        ..options(at(broker, version), Qos::AtLeastOnce)
    }
}

#[test]
fn topics_that_a_pipeline_names_no_longer_are_given_up_also_after_a_restart() {
    run(async {
        for version in VERSIONS {
            let (broker, state) = (Mosquitto::start(), Folder::new());
            let mut count = 0;
            // Each is narrower than the one before, or of a group, or of none.
            for (topics, group) in [
                (&["orders/#", "old"][..], None),
                (&["orders/a"], None),
                (&["orders/a"], Some("g")),
                (&["orders/a", "orders/b"], None),
            ] {
                let source = source(naming(&broker, version, &state, topics, group)).await;
                count += 1;
                let (text, last) = (format!("{count}"), format!("{count} last"));
                broker.publish(&["-t", "orders/a", "-q", "1"], &(text.clone() + "\n"));
                broker.publish(&["-t", "old", "-q", "1"], "old\n");
                broker.publish(&["-t", "orders/a", "-q", "1"], &(last.clone() + "\n"));
                let mut came: Vec<String> = Vec::new();
                while came.last() != Some(&last) {
                    let messages = read(&source, 1).await;
                    store(&source, &messages);
                    came.extend(texts(&messages));
                }
                let wanted = if count == 1 { vec![text, "old".into(), last] } else { vec![text, last] };
                assert_eq!(came, wanted, "{topics:?}");
                close(source).await;
            }
        }
    });
}

#[test]
fn a_message_between_two_sets_of_topics_is_not_missed() {
    run(async {
        for version in VERSIONS {
            let (broker, state) = (Mosquitto::start(), Folder::new());
            close(source(naming(&broker, version, &state, &["orders/#"], None)).await).await;
            broker.publish(&["-t", "orders/a", "-q", "1"], "queued\n");
            let source = source(naming(&broker, version, &state, &["orders/a"], None)).await;
            let messages = read(&source, 1).await;
            assert_eq!(texts(&messages), ["queued"]);
            store(&source, &messages);
            close(source).await;
        }
    });
}

#[test]
fn kept_messages_come_once_over_restarts_and_with_a_further_topic() {
    run(async {
        for version in VERSIONS {
            let (broker, state) = (Mosquitto::start(), Folder::new());
            broker.publish(&["-t", "orders/1", "-q", "1", "-r"], "kept\n");
            for (turn, topics) in [&["orders/#"][..], &["orders/#"], &["orders/#", "more"]].iter().enumerate() {
                let source = source(naming(&broker, version, &state, topics, None)).await;
                broker.publish(&["-t", "orders/2", "-q", "1"], "new\n");
                let wanted = if turn == 0 { vec!["kept", "new"] } else { vec!["new"] };
                let messages = read(&source, wanted.len()).await;
                assert_eq!(texts(&messages), wanted);
                store(&source, &messages);
                close(source).await;
            }
        }
    });
}

#[test]
fn a_broker_that_has_lost_the_session_is_asked_for_all_topics() {
    run(async {
        for version in VERSIONS {
            let (broker, state) = (Mosquitto::start(), Folder::new());
            close(source(naming(&broker, version, &state, &["orders/#"], None)).await).await;
            // Another one, under the address of the first as far as the record tells.
            let other = Mosquitto::start();
            let path = state.path().join("state/topics.json");
            let record = std::fs::read_to_string(&path).unwrap();
            assert!(record.contains("orders/#"));
            std::fs::write(&path, record.replace(&broker.port.to_string(), &other.port.to_string())).unwrap();
            let source = source(naming(&other, version, &state, &["orders/#"], None)).await;
            other.publish(&["-t", "orders/2", "-q", "1"], "new\n");
            assert_eq!(texts(&read(&source, 1).await), ["new"]);
        }
    });
}

#[test]
fn a_record_that_cannot_be_written_is_reported_and_messages_come() {
    run(async {
        let (broker, state) = (Mosquitto::start(), Folder::new());
        std::fs::write(state.path().join("state"), "no folder").unwrap();
        let source = source(naming(&broker, Version::V5, &state, &["orders/#"], None)).await;
        let codes: Vec<Code> = source.take_item_faults().iter().map(Fault::code).collect();
        assert_eq!(codes, [Code::MqttState]);
        broker.publish(&["-t", "orders/2", "-q", "1"], "new\n");
        assert_eq!(texts(&read(&source, 1).await), ["new"]);
    });
}
