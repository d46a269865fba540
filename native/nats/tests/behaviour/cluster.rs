//! The driver and several servers: a real cluster, and odd ones that tell of each other.

use std::time::Duration;

use harness::{Certificates, Cluster, Server, run};
use message::Code;
use nats::{Connection, Options, ServerError};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, Event, Reporter};
use crate::odd_servers::{INFO, accept, accept_tls, answer_ping, listener};

#[test]
fn killed_servers_are_left_for_one_that_was_learnt() {
    run(async {
        let mut cluster = Cluster::start();
        let mut client = Client::connect(&cluster.servers[0].url(), &["a"]).await;
        cluster.servers[1].kill();
        cluster.servers[0].kill();
        client.connected().await;
        client.publish("a", "", b"NATS/1.0\r\n\r\n", b"x");
        assert_eq!(client.message().await.payload, b"x");
    });
}

#[test]
fn a_lame_duck_is_left_for_another_one_before_it_ends() {
    run(async {
        let mut cluster = Cluster::start();
        let mut client = Client::connect(&cluster.servers[0].url(), &["a"]).await;
        cluster.servers[0].enter_lame_duck_mode();
        assert_eq!(client.next().await, Event::Complaint(ServerError::ShuttingDown));
        let Event::Disconnected(fault, 0) = client.next().await else { panic!("not by choice") };
        assert_eq!(fault.code(), Code::NatsDisconnected);
        assert!(fault.reason().contains("takes its place"), "{fault}");
        assert_eq!(client.next().await, Event::Connected);
        client.publish("a", "", b"NATS/1.0\r\n\r\n", b"x");
        assert_eq!(client.message().await.payload, b"x");
    });
}

#[test]
fn a_lame_duck_without_others_is_used_to_its_end() {
    run(async {
        let mut server = Server::with_config("lame_duck_grace_period: \"1s\"");
        let mut client = Client::connect(&server.url(), &["a"]).await;
        server.enter_lame_duck_mode();
        assert_eq!(client.next().await, Event::Complaint(ServerError::ShuttingDown));
        client.publish("a", "", b"NATS/1.0\r\n\r\n", b"x");
        assert_eq!(client.message().await.payload, b"x");
    });
}

/// An INFO with these addresses, and `more`.
fn info(urls: &[String], more: &str) -> String {
    let urls = serde_json::to_string(urls).unwrap();
    INFO.replace('{', &format!("{{\"connect_urls\":{urls},{more}"))
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().unwrap().to_string()
}

async fn client(options: Options) -> Client {
    let (reporter, events) = Reporter::new(&["a"]);
    Client::turning(Connection::connect(options).await.unwrap(), reporter, events).await
}

/// A client of `named`, which has told it of `urls`; and the server's side.
async fn told(named: &TcpListener, options: Options, urls: &[String]) -> (Client, TcpStream) {
    let (mut client, mut stream) = tokio::join!(client(options), accept(named));
    stream.write_all(info(urls, "").as_bytes()).await.unwrap();
    stream.write_all(b"MSG a 1 1\r\nx\r\n").await.unwrap();
    assert_eq!(client.message().await.payload, b"x");
    (client, stream)
}

#[test]
fn odd_addresses_hurt_nobody_and_good_ones_among_them_count() {
    run(async {
        let (named, options) = listener().await;
        let (learnt, _) = listener().await;
        let mut urls: Vec<_> = ["", ":", "::1", "[", "h:x", "h:0", "h:99999", "a b:1", "u:p@h:1", "http://h:1", "é\0"]
            .map(str::to_owned)
            .into();
        urls.extend([address(&named), address(&learnt)]);
        let (mut client, stream) = told(&named, options.clone(), &urls).await;
        drop((stream, named));
        let (_stream, ()) = tokio::join!(accept(&learnt), client.connected());
        // A connection that did not last: all are tried after a pause.
        drop(_stream);
        let (mut stream, ()) = tokio::join!(accept(&learnt), client.connected());
        let many: Vec<_> = (0..10_000).map(|number| format!("10.1.{}.{}:1", number / 250, number % 250)).collect();
        stream.write_all(info(&many, "").as_bytes()).await.unwrap();
        stream.write_all(INFO.as_bytes()).await.unwrap();
        stream.write_all(b"MSG a 1 1\r\nx\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"x");
    });
}

#[test]
fn a_learnt_server_that_does_not_answer_is_passed_and_the_named_one_comes_back() {
    run(async {
        let (named, mut options) = listener().await;
        options.connect_timeout = Duration::from_millis(200);
        let (gone, _) = listener().await;
        let (mute, _) = listener().await;
        let urls = [address(&gone), address(&mute)];
        drop(gone);
        let (mut client, stream) = told(&named, options, &urls).await;
        drop(stream);
        let (_stream, ()) = tokio::join!(accept(&named), client.connected());
        drop(mute);
    });
}

#[test]
fn without_discovery_only_named_servers_are_used() {
    run(async {
        let (named, mut options) = listener().await;
        let (learnt, _) = listener().await;
        options.discover = false;
        let (mut client, mut stream) = told(&named, options, &[address(&learnt)]).await;
        stream.write_all(info(&[address(&learnt)], "\"ldm\":true,").as_bytes()).await.unwrap();
        assert_eq!(client.next().await, Event::Complaint(ServerError::ShuttingDown));
        drop((stream, named));
        client.disconnected().await;
        for attempt in 1..=4 {
            assert_eq!(client.next().await, Event::ReconnectFailed(attempt, Code::NatsConnect));
        }
        assert!(tokio::time::timeout(Duration::ZERO, learnt.accept()).await.is_err());
    });
}

#[test]
fn what_was_sent_to_a_lame_duck_arrives_before_it_is_left() {
    run(async {
        let (named, options) = listener().await;
        let (other, _) = listener().await;
        let (mut client, mut duck) = told(&named, options, &[]).await;
        duck.write_all(info(&[address(&other)], "\"ldm\":true,").as_bytes()).await.unwrap();
        let mut second = accept(&other).await;
        client.publish("b", "", b"NATS/1.0\r\n\r\n", b"last");
        let mut heard = Vec::new();
        // Its PING says that all before it is to be kept.
        while !heard.ends_with(b"PING\r\n") {
            heard.push(tokio::io::AsyncReadExt::read_u8(&mut duck).await.unwrap());
        }
        duck.write_all(b"MSG a 1 1\r\ny\r\nPONG\r\n").await.unwrap();
        assert_eq!(client.next().await, Event::Complaint(ServerError::ShuttingDown));
        assert_eq!(client.message().await.payload, b"y");
        let (fault, dropped) = client.disconnected().await;
        assert_eq!((fault.code(), dropped), (Code::NatsDisconnected, 0));
        assert_eq!(client.next().await, Event::Connected);
        second.write_all(b"MSG a 1 1\r\nz\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"z");
    });
}

#[test]
fn a_lame_duck_that_ends_while_another_is_looked_for_is_a_lost_one() {
    run(async {
        let (named, options) = listener().await;
        let (other, _) = listener().await;
        let (mut client, mut duck) = told(&named, options, &[]).await;
        duck.write_all(info(&[address(&other)], "\"ldm\":true,").as_bytes()).await.unwrap();
        // Accepts, and says nothing yet.
        let (mut second, _) = other.accept().await.unwrap();
        drop((duck, named));
        client.disconnected().await;
        second.write_all(INFO.as_bytes()).await.unwrap();
        answer_ping(&mut second).await;
        assert_eq!(client.next().await, Event::Connected);
    });
}

#[test]
fn a_lame_duck_that_answers_nothing_is_left_all_the_same() {
    run(async {
        let (named, options) = listener().await;
        let (other, _) = listener().await;
        let (mut client, mut duck) = told(&named, options, &[]).await;
        duck.write_all(info(&[address(&other)], "\"ldm\":true,").as_bytes()).await.unwrap();
        let _second = accept(&other).await;
        client.disconnected().await;
        assert_eq!(client.next().await, Event::Connected);
        drop(duck);
    });
}

#[test]
fn a_server_that_hangs_is_left_for_another_one_as_soon_as_it_is_suspected() {
    run(async {
        let (named, mut options) = listener().await;
        let (other, _) = listener().await;
        // Its own pings would not tell for an hour.
        (options.ping_interval, options.ping_timeout) = (Duration::from_secs(3600), Duration::from_millis(50));
        let (mut client, hanging) = told(&named, options, &[address(&other)]).await;
        client.outbox.suspect();
        let _second = accept(&other).await;
        assert_eq!(client.disconnected().await.0.code(), Code::NatsTimeout);
        assert_eq!(client.next().await, Event::Connected);
        drop(hanging);
    });
}

#[test]
fn a_server_that_answers_is_not_left_however_often_it_is_suspected() {
    run(async {
        let (named, mut options) = listener().await;
        let (other, _) = listener().await;
        (options.ping_interval, options.ping_timeout) = (Duration::from_secs(3600), Duration::from_millis(50));
        let (mut client, mut slow) = told(&named, options, &[address(&other)]).await;
        for _ in 0..3 {
            client.outbox.suspect();
            let mut heard = Vec::new();
            while !heard.ends_with(b"PING\r\n") {
                heard.push(tokio::io::AsyncReadExt::read_u8(&mut slow).await.unwrap());
            }
            slow.write_all(b"PONG\r\n").await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        slow.write_all(b"MSG a 1 1\r\ny\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"y");
        assert!(tokio::time::timeout(Duration::ZERO, other.accept()).await.is_err());
    });
}

#[test]
fn a_server_without_others_has_the_time_of_two_pings() {
    run(async {
        let (listener, mut options) = listener().await;
        (options.ping_interval, options.ping_timeout) = (Duration::from_secs(3600), Duration::from_millis(1));
        let (mut client, mut slow) = tokio::join!(client(options), accept(&listener));
        client.outbox.suspect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        slow.write_all(b"MSG a 1 1\r\ny\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"y");
    });
}

#[test]
fn a_flush_ends_when_a_lame_duck_that_answers_nothing_is_left() {
    run(async {
        let (named, options) = listener().await;
        let (other, _) = listener().await;
        let (connection, mut duck) = tokio::join!(Connection::connect(options), accept(&named));
        duck.write_all(info(&[address(&other)], "\"ldm\":true,").as_bytes()).await.unwrap();
        let mut connection = connection.unwrap();
        let (mut reporter, _events) = Reporter::new(&["a"]);
        let (flushed, _second) = tokio::join!(connection.flush(&mut reporter), accept(&other));
        assert_eq!(flushed.unwrap_err().code(), Code::NatsDisconnected);
        drop(duck);
    });
}

#[test]
fn a_learnt_address_is_who_told_of_it_or_gets_no_credentials() {
    run(async {
        let named_one = Certificates::new(&["localhost"]);
        let (named, _) = listener().await;
        let (learnt, _) = listener().await;
        let url = format!("nats://localhost:{}", named.local_addr().unwrap().port());
        let mut options = Options::new(&url).unwrap().user("me", "secret");
        options.tls = named_one.client();
        options.reconnect_min = Duration::from_millis(1);
        options.reconnect_max = Duration::from_millis(5);
        let (mut client, mut stream) = tokio::join!(client(options), accept_tls(&named, &named_one));
        stream.write_all(info(&[address(&learnt)], "").as_bytes()).await.unwrap();
        stream.write_all(b"MSG a 1 1\r\nx\r\n").await.unwrap();
        assert_eq!(client.message().await.payload, b"x");
        drop((stream, named));
        // For the address it has no certificate; for the name of who told of it, it has.
        let (stream, ()) = tokio::join!(accept_tls(&learnt, &named_one), client.connected());
        drop(stream);
        client.disconnected().await;
        let impostor = Certificates::new(&["127.0.0.1"]);
        std::fs::copy(impostor.file("ca"), named_one.file("ca")).unwrap();
        loop {
            let accepted = async {
                let (mut stream, _) = learnt.accept().await.unwrap();
                stream.write_all(INFO.replace('{', "{\"tls_required\":true,").as_bytes()).await.unwrap();
                impostor.acceptor().accept(stream).await.is_ok()
            };
            tokio::select! {
                accepted = accepted => assert!(!accepted, "an address is taken for a name"),
                event = client.next() => match event {
                    Event::ReconnectFailed(_, Code::NatsTlsWrongName) => break,
                    Event::ReconnectFailed(..) => {}
                    event => panic!("{event:?}"),
                },
            }
        }
    });
}
