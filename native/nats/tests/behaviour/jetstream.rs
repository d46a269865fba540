//! JetStream on a real server: what is encoded is understood, what is answered is read.

use std::collections::HashSet;
use std::time::Duration;

use harness::{Server, run};
use message::{Code, Fault};
use nats::jetstream::{
    AckReply, Api, PubAck, PullEnd, PullRequest, PullStatus, encode_ack, encode_nak, encode_pull, encode_term,
    encode_wpi,
};
use nats::protocol::encode_pub;
use nats::{Connection, Options};

use crate::client::{Client, Event, Received, Reporter};

const LONG: Duration = Duration::from_secs(60);

fn pull(client: &Client, request: &PullRequest) {
    let next = Api::default().next_subject("IN", "logic");
    assert!(client.outbox.write(|out| encode_pull(out, next.as_bytes(), b"pulled", request)));
}

fn request(batch: u32, expires: Duration) -> PullRequest {
    PullRequest { batch, expires, max_bytes: None, idle_heartbeat: None, no_wait: false }
}

/// A work queue `IN` on `in.>` with the consumer `logic`.
async fn work_queue(client: &Client, ack_wait: Duration) {
    client
        .api("STREAM.CREATE.IN", r#"{"name":"IN","subjects":["in.>"],"retention":"workqueue","storage":"file"}"#)
        .await;
    let consumer = format!(
        r#"{{"stream_name":"IN","config":{{"durable_name":"logic","ack_policy":"explicit","ack_wait":{}}}}}"#,
        ack_wait.as_nanos()
    );
    client.api("CONSUMER.CREATE.IN.logic", &consumer).await;
}

async fn stored(client: &Client) -> u64 {
    client.api("STREAM.INFO.IN", "").await["state"]["messages"].as_u64().unwrap()
}

/// Acks and publishes are stored some time after they were read; there is no event to wait for.
async fn until_stored(client: &Client, count: u64) {
    while stored(client).await != count {}
}

/// The next delivery, with what its reply subject says.
async fn delivery(client: &mut Client) -> (Received, u64) {
    let message = client.message().await;
    let delivered = AckReply::parse(&message.reply).expect("an ack reply").delivered;
    (message, delivered)
}

fn pub_ack(message: &Received) -> Result<(u64, bool), Fault> {
    PubAck::parse(&message.headers, &message.payload).map(|ack| (ack.sequence, ack.duplicate))
}

#[test]
fn each_answer_to_a_delivery_does_what_it_says() {
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["pulled"]).await;
        work_queue(&client, LONG).await;
        for name in ["ack", "nak", "delayed", "term"] {
            client.publish(&format!("in.{name}"), "", b"", name.as_bytes());
        }
        pull(&client, &request(4, LONG));
        let mut replies = Vec::new();
        for name in ["ack", "nak", "delayed", "term"] {
            let (message, delivered) = delivery(&mut client).await;
            assert_eq!((&*message.subject, delivered), (&*format!("in.{name}"), 1));
            replies.push(message.reply);
        }
        pull(&client, &request(10, LONG));
        assert!(client.outbox.write(|out| {
            encode_wpi(out, &replies[0]);
            encode_ack(out, &replies[0]);
            encode_nak(out, &replies[1], None);
            encode_term(out, &replies[3], Some("cannot be read"));
        }));
        let (message, delivered) = delivery(&mut client).await;
        assert_eq!((&*message.subject, delivered), ("in.nak", 2));
        assert!(client.outbox.write(|out| {
            encode_ack(out, &message.reply);
            encode_nak(out, &replies[2], Some(Duration::from_millis(30)));
        }));
        let (message, delivered) = delivery(&mut client).await;
        assert_eq!((&*message.subject, delivered), ("in.delayed", 2));
        assert!(client.outbox.write(|out| encode_ack(out, &message.reply)));
        until_stored(&client, 0).await;
    });
}

#[test]
fn work_in_progress_holds_a_redelivery_off() {
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["pulled"]).await;
        work_queue(&client, Duration::from_millis(1500)).await;
        client.publish("in.kept", "", b"", b"");
        client.publish("in.left", "", b"", b"");
        pull(&client, &request(10, LONG));
        let kept = delivery(&mut client).await.0.reply;
        assert_eq!(delivery(&mut client).await.0.subject, "in.left");
        // The other one's redeliveries are the clock: two of its ack waits.
        let outbox = client.outbox.clone();
        let alive = tokio::task::spawn_local(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                assert!(outbox.write(|out| encode_wpi(out, &kept)));
            }
        });
        for expected in 2..4 {
            let (message, delivered) = delivery(&mut client).await;
            assert_eq!((&*message.subject, delivered), ("in.left", expected));
        }
        alive.abort();
        loop {
            let (message, delivered) = delivery(&mut client).await;
            if message.subject == "in.kept" {
                assert_eq!(delivered, 2);
                break;
            }
        }
    });
}

#[test]
fn a_window_of_publishes_gets_each_its_answer() {
    const COUNT: u64 = 5_000;
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["acks.*"]).await;
        work_queue(&client, LONG).await;
        for round in 0..2 {
            for number in 0..COUNT {
                let headers = format!("NATS/1.0\r\nNats-Msg-Id: {number}\r\n\r\n");
                client.publish("in.a", &format!("acks.{number}"), headers.as_bytes(), b"<order/>");
            }
            let mut answered = HashSet::new();
            let mut sequences = HashSet::new();
            for _ in 0..COUNT {
                let message = client.message().await;
                let (sequence, duplicate) = pub_ack(&message).unwrap();
                assert_eq!(duplicate, round == 1);
                sequences.insert(sequence);
                answered.insert(message.subject);
            }
            assert_eq!((answered.len() as u64, sequences.len() as u64), (COUNT, COUNT));
            assert_eq!(stored(&client).await, COUNT);
        }
    });
}

#[test]
fn a_full_subject_a_full_stream_and_no_stream_are_told_apart() {
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["acks"]).await;
        client
            .api(
                "STREAM.CREATE.TIER",
                r#"{"name":"TIER","subjects":["tier.*"],"max_msgs":3,"max_msgs_per_subject":1,"discard":"new","discard_new_per_subject":true}"#,
            )
            .await;
        let cases = [
            ("tier.a", "", None),
            ("tier.a", "", Some(Code::LimitBacklog)),
            ("tier.b", "OTHER", Some(Code::NatsNoStream)),
            ("tier.b", "TIER", None),
            ("tier.c", "", None),
            ("tier.d", "", Some(Code::NatsStreamFull)),
            ("nowhere", "", Some(Code::NatsNoStream)),
        ];
        for (subject, expected, refused) in cases {
            let headers = format!("NATS/1.0\r\nNats-Expected-Stream: {expected}\r\n\r\n");
            client.publish(subject, "acks", if expected.is_empty() { b"" } else { headers.as_bytes() }, b"x");
            let answer = pub_ack(&client.message().await);
            assert_eq!(answer.err().map(|fault| fault.code()), refused, "{subject}");
        }
    });
}

#[test]
fn a_pull_ends_with_its_reason() {
    run(async {
        let server = Server::start();
        let mut client = Client::connect(&server.url(), &["pulled"]).await;
        work_queue(&client, LONG).await;
        let ended = |message: &Received| match PullStatus::parse(&message.headers, &message.payload) {
            Some(PullStatus::Ended { reason, pending_messages, .. }) => (reason, pending_messages),
            other => panic!("{other:?} {message:?}"),
        };
        pull(&client, &PullRequest { no_wait: true, ..request(5, Duration::ZERO) });
        assert_eq!(ended(&client.message().await).0, PullEnd::NoMessages);
        pull(&client, &request(5, Duration::from_millis(20)));
        assert_eq!(ended(&client.message().await), (PullEnd::Expired, 5));
        client.publish("in.large", "", b"", &[b'x'; 5_000]);
        pull(&client, &PullRequest { max_bytes: Some(1_000), ..request(5, LONG) });
        assert_eq!(ended(&client.message().await), (PullEnd::MaxBytes, 5));
        pull(&client, &request(1, LONG));
        delivery(&mut client).await;
        let heartbeat = Duration::from_millis(100);
        pull(&client, &PullRequest { idle_heartbeat: Some(heartbeat), ..request(5, LONG) });
        let alive = client.message().await;
        assert_eq!(PullStatus::parse(&alive.headers, &alive.payload), Some(PullStatus::Heartbeat));
        client.api("CONSUMER.DELETE.IN.logic", "").await;
        loop {
            let message = client.message().await;
            if PullStatus::parse(&message.headers, &message.payload) != Some(PullStatus::Heartbeat) {
                assert_eq!(ended(&message).0, PullEnd::ConsumerDeleted);
                break;
            }
        }
        pull(&client, &request(1, LONG));
        assert_eq!(ended(&client.message().await).0, PullEnd::NoResponders);
    });
}

#[test]
fn after_a_flush_the_server_has_everything() {
    run(async {
        let server = Server::start();
        let client = Client::connect(&server.url(), &[]).await;
        work_queue(&client, LONG).await;
        let mut connection = Connection::connect(Options::new(&server.url()).unwrap()).await.unwrap();
        let (mut reporter, mut events) = Reporter::new(&["answers"]);
        assert!(connection.outbox().write(|out| {
            for _ in 0..3_000 {
                encode_pub(out, b"in.a", b"answers", b"x");
            }
        }));
        connection.flush(&mut reporter).await.unwrap();
        drop(connection);
        // They had been read when the PONG was written, and are stored though the connection is gone.
        let mut answers = 0;
        while let Ok(event) = events.try_recv() {
            answers += usize::from(matches!(event, Event::Message(_)));
        }
        assert!(answers <= 3_000);
        until_stored(&client, 3_000).await;
    });
}
