//! The driver against a real server: connecting, losing the connection, coming back.

use std::cell::Cell;
use std::rc::Rc;

use harness::{Server, WAIT_TIMEOUT, run};
use message::Code;
use nats::protocol::encode_pub;
use nats::{Connection, Options, Pace, ServerError};

use crate::client::{Client, Event, Reporter, echoes_with_turns_dropped};

#[test]
fn messages_go_out_and_come_back() {
    run(async {
        let server = Server::with_config("max_payload: 2MB");
        let mut client = Client::connect(&server.url(), &["orders.>"]).await;
        assert_eq!(client.outbox.max_payload(), 2 << 20);
        let headers = b"NATS/1.0\r\nCustomer-ID: acme\r\n\r\n";
        let large: Vec<u8> = (0..1_500_000_u32).map(|i| (i % 253) as u8).collect();
        for payload in [&b"hello"[..], b"", b"\r\nMSG x 1 1\r\n\0", &large] {
            client.publish("orders.a", "some.reply", headers, payload);
            let message = client.message().await;
            assert_eq!((&*message.subject, message.sid, &*message.reply), ("orders.a", 1, &b"some.reply"[..]));
            assert_eq!((&message.headers[..], message.payload.len()), (&headers[..], payload.len()));
            assert!(message.payload == payload);
        }
    });
}

#[test]
fn a_request_is_answered_or_nobody_listens() {
    run(async {
        let server = Server::start();
        let client = Client::connect(&server.url(), &[]).await;
        let account = client.api("INFO", "").await;
        assert_eq!(account["streams"], 0);
        let fault = client.outbox.request("nobody.listens", b"", WAIT_TIMEOUT).await.unwrap_err();
        assert_eq!(fault.code(), Code::NatsNoStream);
        let mut listener = Client::connect(&server.url(), &["mute"]).await;
        let short = std::time::Duration::from_millis(10);
        let fault = client.outbox.request("mute", b"hello?", short).await.unwrap_err();
        assert_eq!(fault.code(), Code::NatsTimeout);
        assert_eq!(listener.message().await.payload, b"hello?");
    });
}

#[test]
fn credentials_open_the_door_or_are_refused() {
    run(async {
        let users = Server::with_config("authorization { user: me, password: \"p@ss\" }");
        let address = users.url();
        for good in [
            Options::new(&address).unwrap().user("me", "p@ss"),
            Options::new(&address.replace("nats://", "nats://me:p%40ss@")).unwrap(),
        ] {
            Client::with(good, &[]).await;
        }
        for bad in [Options::new(&address).unwrap(), Options::new(&address).unwrap().user("me", "guess")] {
            let fault = Connection::connect(bad).await.err().unwrap();
            assert_eq!(fault.code(), Code::NatsAuthorization, "{fault}");
            assert!(!fault.to_string().contains("guess"));
        }
        let tokens = Server::with_config("authorization { token: t0ken }");
        let address = tokens.url();
        Client::with(Options::new(&address).unwrap().token("t0ken"), &[]).await;
        Client::connect(&address.replace("nats://", "nats://t0ken@"), &[]).await;
        let fault = Connection::connect(Options::new(&address).unwrap().token("x")).await.err().unwrap();
        assert_eq!(fault.code(), Code::NatsAuthorization);
    });
}

#[test]
fn the_second_of_two_servers_is_taken_when_the_first_is_down() {
    run(async {
        let mut down = Server::start();
        down.kill();
        let up = Server::start();
        let urls = format!("{},{}", down.url(), up.url());
        let mut client = Client::connect(&urls, &["a"]).await;
        client.publish("a", "", b"", b"x");
        assert_eq!(client.message().await.payload, b"x");
    });
}

#[test]
fn a_killed_server_is_found_again_and_subscriptions_are_made_anew() {
    run(async {
        let mut server = Server::start();
        let mut client = Client::connect(&server.url(), &["a"]).await;
        client.publish("a", "", b"", b"before");
        assert_eq!(client.message().await.payload, b"before");
        server.kill();
        let (fault, _) = client.disconnected().await;
        assert_eq!(fault.code(), Code::NatsDisconnected);
        assert!(!client.outbox.connected());
        assert!(!client.outbox.write(|_| panic!("nothing is taken without a connection")));
        assert_eq!(client.outbox.request("x", b"", WAIT_TIMEOUT).await.unwrap_err().code(), Code::NatsDisconnected);
        assert_eq!(client.next().await, Event::ReconnectFailed(1, Code::NatsConnect));
        server.restart();
        client.connected().await;
        client.publish("a", "", b"", b"after");
        assert_eq!(client.message().await.payload, b"after");
        client.api("INFO", "").await;
    });
}

#[test]
fn a_request_on_its_way_fails_when_the_connection_breaks() {
    run(async {
        let mut server = Server::start();
        let client = Client::connect(&server.url(), &["mute"]).await;
        let mut listener = Client::connect(&server.url(), &["mute"]).await;
        let outbox = client.outbox.clone();
        let asked = tokio::task::spawn_local(async move { outbox.request("mute", b"", WAIT_TIMEOUT).await });
        listener.message().await;
        server.kill();
        assert_eq!(asked.await.unwrap().unwrap_err().code(), Code::NatsDisconnected);
    });
}

#[test]
fn a_publish_above_max_payload_is_named_and_the_connection_comes_back() {
    run(async {
        let server = Server::with_config("max_payload: 1000");
        let mut client = Client::connect(&server.url(), &["a"]).await;
        client.publish("a", "", b"", &[b'x'; 1001]);
        assert_eq!(client.next().await, Event::Complaint(ServerError::MaximumPayload));
        assert_eq!(client.disconnected().await.0.code(), Code::NatsMaxPayload);
        client.connected().await;
        client.publish("a", "", b"", &[b'x'; 1000]);
        assert_eq!(client.message().await.payload.len(), 1000);
    });
}

#[test]
fn a_forbidden_subject_is_named_and_the_connection_stays() {
    run(async {
        let permissions = "{ publish: [\"a\"], subscribe: [\"a\"] }";
        let server = Server::with_config(&format!(
            "authorization {{ users: [{{ user: u, password: p, permissions: {permissions} }}] }}"
        ));
        let options = Options::new(&server.url()).unwrap().user("u", "p");
        let mut client = Client::with(options, &["a", "b"]).await;
        client.publish("c", "", b"", b"x");
        for word in ["Subscription", "Publish"] {
            match client.next().await {
                Event::Complaint(ServerError::PermissionsViolation(text)) => assert!(text.contains(word), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        client.publish("a", "", b"", b"x");
        assert_eq!(client.message().await.payload, b"x");
    });
}

#[test]
fn a_consumer_too_slow_for_the_server_is_told_and_comes_back() {
    run(async {
        let server = Server::with_config("max_pending: 1MB");
        let mut slow = Connection::connect(Options::new(&server.url()).unwrap()).await.unwrap();
        let (mut reporter, mut events) = Reporter::new(&["a"]);
        slow.flush(&mut reporter).await.unwrap();
        let fast = Client::connect(&server.url(), &[]).await;
        // More than sockets and the server's own buffer hold, while the other one does not turn.
        for _ in 0..64 {
            fast.publish("a", "", b"", &vec![b'x'; 1_000_000]);
        }
        fast.api("INFO", "").await;
        let mut seen = Vec::new();
        while seen.iter().filter(|event| **event == Event::Connected).count() < 2 {
            slow.turn(&mut reporter).await.unwrap();
            while let Ok(event) = events.try_recv() {
                seen.push(event);
            }
        }
        assert!(seen.iter().any(|event| matches!(event, Event::Disconnected(..))), "{}", seen.len());
    });
}

#[test]
fn a_flood_both_ways_comes_through_whole_and_in_order() {
    const COUNT: u32 = 4_000;
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["loop"]).await;
        // One write far above what sockets buffer, and all of it comes back.
        client.publish_numbered(b"loop", COUNT);
        assert!(client.outbox.pending() > 8_000 * COUNT as usize);
        client.receives_numbered(COUNT).await;
    });
}

#[test]
fn a_turn_may_be_dropped_at_any_await() {
    run(async {
        let server = Server::start();
        let connection = Connection::connect(Options::new(&server.url()).unwrap()).await.unwrap();
        echoes_with_turns_dropped(connection, 20_000, 10_000, |number| number.to_string().into_bytes()).await;
    });
}

#[test]
fn a_handler_that_yields_gets_everything_and_others_get_their_turn() {
    const COUNT: usize = 5_000;
    run(async {
        let server = Server::start();
        let connection = Connection::connect(Options::new(&server.url()).unwrap()).await.unwrap();
        let (mut reporter, events) = Reporter::new(&["loop"]);
        reporter.pace = Pace::Yield;
        let mut client = Client::turning(connection, reporter, events).await;
        assert!(client.outbox.write(|out| {
            for number in 0..COUNT {
                encode_pub(out, b"loop", b"", number.to_string().as_bytes());
            }
        }));
        let turns = Rc::new(Cell::new(0));
        let others = turns.clone();
        let neighbour = tokio::task::spawn_local(async move {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        for number in 0..COUNT {
            assert_eq!(client.message().await.payload, number.to_string().into_bytes());
        }
        neighbour.abort();
        assert!(turns.get() > COUNT / 2, "{} turns", turns.get());
    });
}

#[test]
fn what_is_revoked_before_it_is_sent_never_arrives_and_the_next_connection_is_like_any() {
    run(async {
        let server = Server::start();
        let mut listener = Client::connect(&server.url(), &["orders.>"]).await;
        let mut client = Client::connect(&server.url(), &[]).await;
        client.publish("orders.revoked", "", b"", b"1");
        client.outbox.revoke();
        assert_eq!(client.disconnected().await.0.code(), Code::NatsDisconnected);
        // Without a connection there is nothing to be revoked.
        client.outbox.revoke();
        client.connected().await;
        client.publish("orders.sent", "", b"", b"2");
        assert_eq!(&*listener.message().await.subject, "orders.sent");
    });
}

#[test]
fn a_guard_is_asked_before_anything_is_sent() {
    run(async {
        let server = Server::start();
        let mut listener = Client::connect(&server.url(), &["orders.>"]).await;
        let mut client = Client::connect(&server.url(), &[]).await;
        let is_over = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_over);
        client.outbox.set_guard(Rc::new(move || seen.get()));
        client.publish("orders.1", "", b"", b"1");
        assert_eq!(&*listener.message().await.subject, "orders.1");
        client.publish("orders.2", "", b"", b"2");
        is_over.set(true);
        client.disconnected().await;
        is_over.set(false);
        client.connected().await;
        client.publish("orders.3", "", b"", b"3");
        assert_eq!(&*listener.message().await.subject, "orders.3");
    });
}
