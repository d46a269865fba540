//! Nobody has all of what the senders share: connections, requests in hand, memory, time.

use std::net::SocketAddr;
use std::time::Duration;

use connectors::Source;
use connectors::http::source::{Accept, Passes, Route, RoutedSource as _, SourceOptions};
use harness::run;
use tokio::net::TcpSocket;

use super::host::{LONG, MAX_BODY, Sender, next, post, source, store_all, stored, until};

const SHORT: Duration = Duration::from_millis(50);
const HEAD: &str = "POST /in/acme/orders HTTP/1.1\r\nHost: here\r\n";

/// From another machine, as far as the source can tell.
async fn from(peer: u8, to: SocketAddr) -> Sender {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, peer], 0))).unwrap();
    Sender(socket.connect(to).await.unwrap())
}

#[test]
fn an_idle_connection_ends_for_a_new_one() {
    run(async {
        let source = source(SourceOptions { max_connections: 2, ..SourceOptions::default() }).await;
        store_all(&source);
        let mut silent = Sender::connect(source.address()).await;
        until(|| source.stats().connections == 1).await;
        let mut idle = Sender::connect(source.address()).await;
        assert_eq!(idle.post("/in/acme/orders", "", "x").await.status, 202);
        let mut new = Sender::connect(source.address()).await;
        assert_eq!(new.post("/in/acme/orders", "", "x").await.status, 202);
        assert!(silent.is_closed().await, "the oldest");
        let mut another = Sender::connect(source.address()).await;
        another.send("POST /in/ac").await;
        assert!(idle.is_closed().await);
        // Half a head is no request.
        let mut last = Sender::connect(source.address()).await;
        assert_eq!(last.post("/in/acme/orders", "", "x").await.status, 202);
        assert!(new.is_closed().await);
    });
}

#[test]
fn a_refused_request_whose_body_has_not_come_ends_before_an_idle_connection() {
    run(async {
        let source = source(SourceOptions { max_connections: 2, ..SourceOptions::default() }).await;
        store_all(&source);
        let mut idle = Sender::connect(source.address()).await;
        assert_eq!(idle.post("/in/acme/orders", "", "x").await.status, 202);
        let mut refused = from(2, source.address()).await;
        refused.send("POST /in/nobody/nothing HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\n").await;
        until(|| !source.stats().refusals.is_empty()).await;
        let mut new = from(3, source.address()).await;
        assert_eq!(new.post("/in/acme/orders", "", "x").await.status, 202);
        assert!(refused.is_closed().await);
        assert_eq!(idle.post("/in/acme/orders", "", "x").await.status, 202);
    });
}

#[test]
fn a_peer_gets_several_connections_while_refused_requests_have_all() {
    run(async {
        let source = source(SourceOptions { max_connections: 8, ..SourceOptions::default() }).await;
        store_all(&source);
        let mut refused = Vec::new();
        for peer in 10..18 {
            let mut sender = from(peer, source.address()).await;
            sender.send("POST /in/nobody/nothing HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\n").await;
            refused.push(sender);
        }
        until(|| source.stats().refusals.first().is_some_and(|(_, count)| *count == 8)).await;
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut sender = Sender::connect(source.address()).await;
            assert_eq!(sender.post("/in/acme/orders", "", "x").await.status, 202);
            kept.push(sender);
        }
        for sender in &mut kept {
            assert_eq!(
                sender.post("/in/acme/orders", "", "x").await.status,
                202,
                "none of its own has ended for another"
            );
        }
    });
}

#[test]
fn a_refused_request_is_answered_long_before_the_time_of_a_body_is_over() {
    run(async {
        let options = SourceOptions { header_timeout: SHORT, body_timeout: 60 * LONG, ..SourceOptions::default() };
        let source = source(options).await;
        let mut refused = Sender::connect(source.address()).await;
        refused.send("POST /in/nobody/nothing HTTP/1.1\r\nHost: here\r\nContent-Length: 60000\r\n\r\n").await;
        let answer = refused.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
        until(|| source.stats().connections == 0).await;
    });
}

#[test]
fn a_body_that_comes_too_slowly_ends_for_a_new_connection() {
    run(async {
        let options = SourceOptions {
            max_connections: 1,
            header_timeout: SHORT,
            body_timeout: 60 * LONG,
            ..SourceOptions::default()
        };
        let source = source(options).await;
        store_all(&source);
        let mut slow = Sender::connect(source.address()).await;
        slow.send(format!("{HEAD}Content-Length: 900\r\n\r\n{}", "x".repeat(10))).await;
        until(|| source.stats().in_flight_bytes == 10).await;
        loop {
            let mut new = Sender::connect(source.address()).await;
            if new.post("/in/acme/orders", "", "x").await.status == 202 {
                break;
            }
        }
        assert!(slow.is_closed().await);
        until(|| source.stats().in_flight == 0).await;
    });
}

#[test]
fn of_idle_connections_one_ends_of_the_peer_that_has_the_most() {
    run(async {
        let source = source(SourceOptions { max_connections: 8, ..SourceOptions::default() }).await;
        store_all(&source);
        let mut kept = from(2, source.address()).await;
        assert_eq!(kept.post("/in/acme/orders", "", "x").await.status, 202);
        let mut many = Vec::new();
        for count in 2..=30 {
            many.push(Sender::connect(source.address()).await);
            until(|| source.stats().connections == count.min(6)).await;
        }
        for peer in 3..6 {
            let mut new = from(peer, source.address()).await;
            assert_eq!(new.post("/in/acme/orders", "", "x").await.status, 202);
        }
        assert_eq!(kept.post("/in/acme/orders", "", "x").await.status, 202);
    });
}

#[test]
fn a_peer_whose_requests_wait_has_three_quarters_of_the_connections() {
    run(async {
        let source = source(SourceOptions { max_connections: 16, ..SourceOptions::default() }).await;
        let mut waiting = Vec::new();
        for count in 1..=12 {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(post("/in/acme/orders", "", "x")).await;
            until(|| source.stats().in_flight == count).await;
            waiting.push(sender);
        }
        assert_eq!(Sender::connect(source.address()).await.answer().await.status, 503);
        let mut other = from(2, source.address()).await;
        other.send(post("/in/acme/orders", "", "y")).await;
        until(|| source.stats().in_flight == 13).await;
        for _ in 0..13 {
            let incoming = next(&source).await;
            source.settle(incoming.item, stored("1"));
        }
        assert_eq!(other.answer().await.status, 202);
    });
}

#[test]
fn slow_uploads_of_one_customer_leave_room_for_another() {
    run(async {
        for options in [
            SourceOptions { max_in_flight: 16, ..SourceOptions::default() },
            SourceOptions { max_in_flight_bytes: 4 * MAX_BODY, ..SourceOptions::default() },
        ] {
            let source = source(options).await;
            let (accept, passes) = (Accept::ALL, Passes::default());
            let route = Route { accept, passes, ..Route::open(20, MAX_BODY) };
            source.routes().insert("zeta", "/orders", route).unwrap();
            let mut slow = Vec::new();
            for _ in 0..30 {
                let mut sender = Sender::connect(source.address()).await;
                sender.send(format!("{HEAD}Content-Length: {MAX_BODY}\r\n\r\n{}", "x".repeat(MAX_BODY / 2))).await;
                slow.push(sender);
            }
            // What there is no room for is told so.
            let mut one_more = Sender::connect(source.address()).await;
            let answer = one_more.post("/in/acme/orders", "", &"x".repeat(MAX_BODY)).await;
            assert_eq!((answer.status, answer.code().as_str()), (503, "limit/memory"));
            store_all(&source);
            let mut other = Sender::connect(source.address()).await;
            for _ in 0..100 {
                assert_eq!(other.post("/in/zeta/orders", "", &"y".repeat(MAX_BODY / 2)).await.status, 202);
            }
        }
    });
}

#[test]
fn a_body_that_goes_on_arriving_has_more_time() {
    run(async {
        // For every byte a second more.
        let short = Duration::from_millis(40);
        let options = SourceOptions { body_timeout: short, least_body_rate: 1, ..SourceOptions::default() };
        let source = source(options).await;
        store_all(&source);
        let mut goes_on = Sender::connect(source.address()).await;
        goes_on.send(format!("{HEAD}Content-Length: 120\r\n\r\n{}", "x".repeat(100))).await;
        until(|| source.stats().in_flight_bytes == 100).await;
        let mut stands = Sender::connect(source.address()).await;
        stands.send(format!("{HEAD}Content-Length: 1\r\n\r\n")).await;
        assert_eq!(stands.answer().await.status, 408);
        goes_on.send("x".repeat(20)).await;
        assert_eq!(goes_on.answer().await.status, 202);
    });
}
