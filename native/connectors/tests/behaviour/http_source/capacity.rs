//! What the source holds is bounded, and what nobody waits for is let go.

use std::time::Duration;

use connectors::http::source::SourceOptions;
use connectors::{Health, Settled, Source};
use harness::run;
use message::{Code, Fault};

use super::host::{LONG, Sender, next, post, source, store_all, stored, until};

#[test]
fn a_full_node_says_so_at_once_and_takes_more_when_it_can() {
    run(async {
        for options in [
            SourceOptions { max_in_flight: 1, ..SourceOptions::default() },
            SourceOptions { max_in_flight_bytes: 900, ..SourceOptions::default() },
        ] {
            let source = source(options).await;
            let body = "x".repeat(500);
            let (mut first, mut second) =
                (Sender::connect(source.address()).await, Sender::connect(source.address()).await);
            first.send(post("/in/acme/orders", "", &body)).await;
            let incoming = next(&source).await;
            let answer = second.post("/in/acme/orders", "", &body).await;
            assert_eq!(
                (answer.status, answer.code().as_str(), answer.header("retry-after")),
                (503, "limit/memory", Some("1"))
            );
            source.settle(incoming.item, stored("1"));
            assert_eq!(first.answer().await.status, 202);
            store_all(&source);
            // A body cut short for want of room costs its connection.
            let mut third = Sender::connect(source.address()).await;
            assert_eq!(third.post("/in/acme/orders", "", &body).await.status, 202);
        }
    });
}

#[test]
fn a_source_that_turns_requests_away_says_so_until_it_has_room() {
    run(async {
        let source = source(SourceOptions { max_in_flight: 1, ..SourceOptions::default() }).await;
        assert_eq!(source.health(), Health::Up);
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "", "x")).await;
        let incoming = next(&source).await;
        assert_eq!(source.health(), Health::Failing(Code::LimitMemory));
        source.settle(incoming.item, stored("1"));
        assert_eq!(source.health(), Health::Up);
    });
}

#[test]
fn a_connection_too_many_is_turned_away_while_none_is_idle() {
    run(async {
        let source = source(SourceOptions { max_connections: 1, ..SourceOptions::default() }).await;
        let mut first = Sender::connect(source.address()).await;
        first.send(post("/in/acme/orders", "", "x")).await;
        let incoming = next(&source).await;
        let mut second = Sender::connect(source.address()).await;
        let answer = second.answer().await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(answer.body.contains("limit/memory") && second.is_closed().await);
        source.settle(incoming.item, stored("1"));
        assert_eq!(first.answer().await.status, 202);
        store_all(&source);
        let mut third = Sender::connect(source.address()).await;
        assert_eq!(third.post("/in/acme/orders", "", "x").await.status, 202);
    });
}

#[test]
fn a_sender_is_not_kept_waiting_for_ever() {
    run(async {
        let source =
            source(SourceOptions { settle_timeout: Duration::from_millis(50), ..SourceOptions::default() }).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "", "x")).await;
        let incoming = next(&source).await;
        let answer = sender.answer().await;
        assert_eq!(
            (answer.status, answer.code().as_str(), answer.header("retry-after")),
            (503, "http/unavailable", Some("1"))
        );
        // The host still holds the payload; it counts until the host lets go.
        assert_eq!(source.stats().in_flight, 1);
        source.settle(incoming.item, stored("late"));
        source.settle(incoming.item, stored("twice"));
        assert_eq!((source.stats().in_flight, source.stats().in_flight_bytes), (0, 0));
        sender.send(post("/in/acme/orders", "", "y")).await;
        let incoming = next(&source).await;
        source.settle(incoming.item, stored("2"));
        assert_eq!(sender.answer().await.body, "{\"id\":\"2\"}");
    });
}

#[test]
fn settling_for_a_sender_that_has_gone_does_nothing() {
    run(async {
        let source = source(SourceOptions::default()).await;
        for outcome in [stored("1"), Settled::Refused { fault: Fault::new(Code::LimitRate, "slow"), retry_after: None }]
        {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(post("/in/acme/orders", "", "x")).await;
            let incoming = next(&source).await;
            sender.reset();
            source.settle(incoming.item, outcome);
            assert_eq!(source.stats().in_flight, 0);
            until(|| source.stats().connections == 0).await;
        }
        source.settle(u64::MAX, stored("never was"));
    });
}

#[test]
fn what_was_sent_whole_is_brought_when_its_sender_has_gone() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut gone = Sender::connect(source.address()).await;
        gone.send(post("/in/acme/orders", "", "whole")).await;
        until(|| source.stats().in_flight_bytes == 5).await;
        gone.reset();
        let incoming = next(&source).await;
        assert_eq!(incoming.payload, "whole");
        source.settle(incoming.item, stored("1"));
        until(|| source.stats().connections == 0).await;
    });
}

#[test]
fn a_batch_keeps_to_its_limits() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut senders = Vec::new();
        for n in 0..5 {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(post("/in/acme/orders", "", &format!("body-{n}"))).await;
            until(|| source.stats().in_flight == n + 1).await;
            senders.push(sender);
        }
        let sizes = async |messages, bytes| source.read_batch(messages, bytes, LONG).await.unwrap().len();
        assert_eq!(sizes(2, 1000).await, 2);
        assert_eq!(sizes(10, 13).await, 2);
        assert_eq!(sizes(10, 1).await, 1);
        assert!(source.read_batch(10, 10, Duration::ZERO).await.unwrap().is_empty());
    });
}
