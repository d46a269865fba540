//! The end of a source: what is in flight is finished, what is idle is closed, and all in time.

use std::rc::Rc;
use std::time::Duration;

use connectors::http::source::SourceOptions;
use connectors::{ConnectorError, Source};
use harness::run;
use tokio::net::TcpStream;

use super::host::{LONG, Sender, next, post, source, stored};

#[test]
fn requests_in_flight_are_answered_and_idle_connections_closed() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let (mut busy, mut idle) = (Sender::connect(source.address()).await, Sender::connect(source.address()).await);
        assert_eq!(idle.post("/in/acme/none", "", "").await.status, 404);
        busy.send(post("/in/acme/orders", "", "x")).await;
        let incoming = next(&source).await;
        let closing = Rc::clone(&source);
        let close = tokio::task::spawn_local(async move { closing.close(LONG).await });
        assert!(idle.is_closed().await);
        assert!(TcpStream::connect(source.address()).await.is_err());
        source.settle(incoming.item, stored("1"));
        let answer = busy.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
        assert!(busy.is_closed().await);
        close.await.unwrap();
        assert_eq!(source.read_batch(1, 1, LONG).await.unwrap_err(), ConnectorError::EndOfInput);
    });
}

#[test]
fn who_was_accepted_just_before_the_end_may_still_ask_once_and_one_who_never_does_is_closed() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let (mut new, mut silent) = (Sender::connect(source.address()).await, Sender::connect(source.address()).await);
        super::host::until(|| source.stats().connections == 2).await;
        let closing = Rc::clone(&source);
        let close = tokio::task::spawn_local(async move { closing.close(LONG).await });
        // The drain has begun: nobody is accepted any more.
        while TcpStream::connect(source.address()).await.is_ok() {}
        let answer = new.post("/in/acme/none", "", "").await;
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
        assert!(new.is_closed().await && silent.is_closed().await);
        close.await.unwrap();
    });
}

#[test]
fn what_is_queued_at_the_end_is_still_read_and_answered() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "", "x")).await;
        super::host::until(|| source.stats().in_flight == 1).await;
        let closing = Rc::clone(&source);
        let close = tokio::task::spawn_local(async move { closing.close(LONG).await });
        let incoming = next(&source).await;
        source.settle(incoming.item, stored("1"));
        assert_eq!(sender.answer().await.status, 202);
        close.await.unwrap();
    });
}

#[test]
fn the_deadline_cuts_off_who_is_not_done() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let (mut unsettled, mut half) =
            (Sender::connect(source.address()).await, Sender::connect(source.address()).await);
        unsettled.send(post("/in/acme/orders", "", "x")).await;
        half.send("POST /in/acme/orders HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhalf").await;
        let incoming = next(&source).await;
        source.close(Duration::from_millis(50)).await;
        assert!(unsettled.is_closed().await && half.is_closed().await);
        assert_eq!(source.read_batch(1, 1, LONG).await.unwrap_err(), ConnectorError::EndOfInput);
        source.settle(incoming.item, stored("late"));
        assert_eq!((source.stats().connections, source.stats().in_flight), (0, 0));
    });
}

#[test]
fn a_source_that_is_dropped_leaves_nobody_waiting() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "", "x")).await;
        next(&source).await;
        drop(source);
        assert!(sender.is_closed().await);
    });
}
