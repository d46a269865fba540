//! Several messages in one request, and which of them an answer means.

use bytes::Bytes;
use connectors::http::sink::BatchFormat::{Array, Ndjson};
use connectors::http::sink::{BatchFormat, HttpSink, SinkOptions};
use connectors::{Delivery, Outcome, Sink};
use harness::run;
use message::Code;

use super::server::{OK, Reply, Server, keep, options, sink, verdict};
use crate::delivery::delivery;

fn batched(url: &str, batch: BatchFormat) -> SinkOptions {
    SinkOptions { batch: Some(batch), ..options(url) }
}

/// Messages `1`, `2` and so on, with the ids `id-1`, `id-2`.
fn numbers(count: usize) -> Vec<Delivery<'static>> {
    let one = |number: usize| Delivery {
        id: format!("id-{number}").leak(),
        ..delivery(&number.to_string(), "application/json")
    };
    (1..=count).map(one).collect()
}

async fn verdicts(sink: &HttpSink, batch: &[Delivery<'_>]) -> Vec<Result<(), (Code, bool)>> {
    sink.write_batch(batch).await.iter().map(verdict).collect()
}

fn bodies(server: &Server) -> Vec<String> {
    server.requests.borrow().iter().map(|(_, body)| String::from_utf8(body.clone()).unwrap()).collect()
}

fn status(code: u16) -> Reply {
    keep(format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n"))
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
}

#[test]
fn several_messages_are_one_array_or_one_line_each() {
    run(async {
        for (batch, media, body) in [
            (Array, "application/json", "[{\"a\":1},[],\"x y\"]"),
            (Ndjson, "application/x-ndjson", "{\"a\":1}\n[]\n\"x y\"\n"),
        ] {
            let server = Server::start([keep(OK)]).await;
            let sink = sink(batched(&server.url("/bulk"), batch));
            let messages = [
                delivery("{\r\n  \"a\": 1\r\n}", "application/json"),
                delivery("\u{feff}[ ]", "application/vnd.api+json"),
                delivery(" \"x y\" ", ""),
            ];
            assert_eq!(verdicts(&sink, &messages).await, [Ok(()); 3]);
            assert_eq!(bodies(&server), [body]);
            let head = server.head(0);
            assert!(head.contains(&format!("content-type: {media}\r\n")), "{head}");
            // One alone is a batch as well.
            assert_eq!(verdicts(&sink, &messages[..1]).await, [Ok(())]);
            assert_eq!(bodies(&server)[1], if batch == Array { "[{\"a\":1}]" } else { "{\"a\":1}\n" });
        }
    });
}

#[test]
fn a_batch_has_no_header_of_a_single_message_but_the_hops_of_all() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let mut sent = batched(&server.url("/"), Array);
        sent.content_type = Some("application/cloudevents-batch+json".into());
        sent.headers = vec![("X-Api-Key".into(), "k".into())];
        let mut messages = numbers(2);
        messages[0].headers =
            b"NATS/1.0\r\ntraceparent: 00-1-2-01\r\nX-Request-Id: r\r\nce-type: t\r\nX-Vrsky-Hops: 4\r\n\r\n";
        messages[1].headers = b"NATS/1.0\r\nX-Vrsky-Hops: 4\r\n\r\n";
        assert_eq!(verdicts(&sink(sent), &messages).await, [Ok(()); 2]);
        let head = server.head(0);
        for foreign in ["traceparent", "x-request-id", "ce-type"] {
            assert!(!head.contains(foreign), "{foreign} in {head}");
        }
        assert_eq!(header(&head, "x-vrsky-hops").as_deref(), Some("5"));
        assert_eq!(header(&head, "x-api-key").as_deref(), Some("k"));
        assert_eq!(header(&head, "content-type").as_deref(), Some("application/cloudevents-batch+json"));
    });
}

#[test]
fn the_key_of_a_batch_is_that_of_its_messages() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(batched(&server.url("/"), Array));
        let messages = numbers(3);
        let other = [&messages[..1], &messages[2..]].concat();
        for batch in [&messages[..], &messages, &messages[..2], &other, &messages[..1]] {
            assert!(sink.write_batch(batch).await.iter().all(|outcome| verdict(outcome).is_ok()));
        }
        let keys: Vec<String> =
            (0..5).map(|request| header(&server.head(request), "idempotency-key").unwrap()).collect();
        assert_eq!(keys[0], keys[1]);
        assert!(keys[0].starts_with("acme.") && keys[0].len() == 37, "{keys:?}");
        assert!(keys[0] != keys[2] && keys[2] != keys[3] && keys[0] != keys[3], "{keys:?}");
        assert_eq!(keys[4], "id-1");
    });
}

/// Messages with these counts of posts.
fn hopping(counts: &[&str]) -> Vec<Delivery<'static>> {
    let mut messages = numbers(counts.len());
    for (message, count) in messages.iter_mut().zip(counts) {
        message.headers = format!("NATS/1.0\r\nX-Vrsky-Hops: {count}\r\n\r\n").leak().as_bytes();
    }
    messages
}

#[test]
fn a_message_gives_its_count_of_posts_to_no_other() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(batched(&server.url("/"), Array));
        let messages = hopping(&["0", "15", "0", "14", "0", "?", "99999"]);
        assert_eq!(verdicts(&sink, &messages).await, [Ok(()); 7]);
        let count = |request| header(&server.head(request), "x-vrsky-hops").unwrap();
        let mut sent: Vec<_> = bodies(&server).into_iter().enumerate().map(|(at, body)| (count(at), body)).collect();
        sent.sort();
        let expected = [("1", "[1,3,5]"), ("15", "[4]"), ("16", "[2]"), ("65535", "[6,7]")];
        assert_eq!(sent, expected.map(|(count, body)| (count.to_owned(), body.to_owned())));
    });
}

#[test]
fn messages_of_different_counts_stay_in_order_where_requests_are_one_by_one() {
    run(async {
        let server = Server::start([keep(OK), status(503), keep(OK)]).await;
        let sink = sink(SinkOptions { concurrency: 1, ..batched(&server.url("/"), Array) });
        let again = Err((Code::HttpServerError, true));
        assert_eq!(
            verdicts(&sink, &hopping(&["0", "0", "1", "0", "2"])).await,
            [Ok(()), Ok(()), again, again, again],
            "nothing overtakes what is tried again"
        );
        assert_eq!(bodies(&server), ["[1,2]", "[3]"]);
    });
}

#[test]
fn messages_with_different_urls_never_share_a_request() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(SinkOptions { concurrency: 1, ..batched(&server.url("/{tenant}"), Array) });
        let mut messages = numbers(5);
        for (message, tenant) in messages.iter_mut().zip(["a", "b", "a", "c", "b"]) {
            message.address = Some(server.url(&format!("/{tenant}")).leak());
        }
        messages[3].address = Some("http://evil.example/c");
        let refused = Err((Code::HttpBadUrl, false));
        assert_eq!(verdicts(&sink, &messages).await, [Ok(()), Ok(()), Ok(()), refused, Ok(())]);
        assert_eq!(bodies(&server), ["[1,3]", "[2,5]"]);
        assert!(server.head(0).starts_with("post /a ") && server.head(1).starts_with("post /b "));
    });
}

#[test]
fn what_is_no_json_is_refused_alone() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(batched(&server.url("/"), Ndjson));
        let bytes = Bytes::from_static(b"\"\xff\"");
        let messages = [
            delivery("<a/>", "application/xml"),
            delivery("1", "application/json"),
            delivery("{\"a\":", "application/json"),
            delivery("7", "text/plain"),
            delivery("1 2", ""),
            delivery("", "application/json"),
            Delivery { payload: &bytes, ..delivery("", "application/json") },
            delivery("2", ""),
        ];
        let refused = Err((Code::HttpBatchNotJson, false));
        let expected = [refused, Ok(()), refused, refused, refused, refused, refused, Ok(())];
        assert_eq!(verdicts(&sink, &messages).await, expected);
        assert_eq!(bodies(&server), ["1\n2\n"]);
        assert_eq!(verdicts(&sink, &messages[..1]).await, [refused]);
        assert_eq!(server.count(), 1);
    });
}

#[test]
fn a_refused_batch_is_halved_until_the_bad_one_stands_alone() {
    run(async {
        for code in [400, 413, 422] {
            // All eight, then 1-4, 5-8, 5-6, 7-8, 7, 8: the seventh is bad.
            let bad = [status(code), keep(OK), status(code), keep(OK), status(code), status(code), keep(OK)];
            let server = Server::start(bad).await;
            let sink = sink(batched(&server.url("/"), Array));
            let outcomes = sink.write_batch(&numbers(8)).await;
            let mut expected = [Ok(()); 8];
            expected[6] = Err((Code::HttpRejected, false));
            assert_eq!(outcomes.iter().map(verdict).collect::<Vec<_>>(), expected);
            assert_eq!(
                bodies(&server),
                ["[1,2,3,4,5,6,7,8]", "[1,2,3,4]", "[5,6,7,8]", "[5,6]", "[7,8]", "[7]", "[8]"]
            );
            assert!(format!("{:?}", outcomes[6]).contains(&format!("the server answered {code}")), "{:?}", outcomes[6]);
        }
    });
}

#[test]
fn when_all_are_bad_each_is_asked_for_alone_once() {
    run(async {
        let server = Server::start([status(422)]).await;
        let sink = sink(batched(&server.url("/"), Ndjson));
        assert_eq!(verdicts(&sink, &numbers(16)).await, [Err((Code::HttpRejected, false)); 16]);
        assert_eq!(server.count(), 31);
    });
}

#[test]
fn any_other_answer_is_for_all() {
    run(async {
        for (code, expected) in [
            (401, (Code::HttpRejected, false)),
            (404, (Code::HttpRejected, false)),
            (429, (Code::HttpServerError, true)),
            (503, (Code::HttpServerError, true)),
            (302, (Code::HttpRedirect, false)),
        ] {
            let server = Server::start([status(code)]).await;
            let sink = sink(batched(&server.url("/"), Array));
            let outcomes = sink.write_batch(&numbers(3)).await;
            assert_eq!(outcomes.iter().map(verdict).collect::<Vec<_>>(), [Err(expected); 3], "{code}");
            assert_eq!(server.count(), 1);
            assert!(format!("{outcomes:?}").contains("3 messages were in the request"), "{outcomes:?}");
        }
        let server = Server::start([keep("HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")]).await;
        for outcome in sink(batched(&server.url("/"), Array)).write_batch(&numbers(2)).await {
            assert!(matches!(outcome, Outcome::Retry { after: Some(after), .. } if after.as_secs() == 7));
        }
    });
}

#[test]
fn a_half_that_may_work_later_is_tried_again_and_where_order_is_kept_so_is_what_follows() {
    run(async {
        let again = Err((Code::HttpServerError, true));
        for (concurrency, last, requests) in [(2, Ok(()), 3), (1, again, 2)] {
            let server = Server::start([status(400), status(503), keep(OK)]).await;
            let sink = sink(SinkOptions { concurrency, ..batched(&server.url("/"), Array) });
            assert_eq!(verdicts(&sink, &numbers(4)).await, [again, again, last, last]);
            assert_eq!(server.count(), requests);
        }
    });
}
