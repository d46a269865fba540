//! Senders that mean harm, or are broken: each gets an answer or a closed connection, nobody else
//! notices, and nothing of theirs becomes a message.

use std::time::Duration;

use connectors::http::source::{Route, RoutedSource as _, SourceOptions};
use harness::run;
use tokio::io::AsyncWriteExt;

use super::host::{MAX_BODY, Sender, post, source, store_all, until};

const HEAD: &str = "POST /in/acme/orders HTTP/1.1\r\nHost: here\r\n";
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_length_over_the_limit_is_answered_before_the_body() {
    run(async {
        let source = source(SourceOptions::default()).await;
        for extra in ["", "Expect: 100-continue\r\n"] {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(format!("{HEAD}{extra}Content-Length: 104857600\r\n\r\n")).await;
            let answer = sender.any_answer().await;
            assert_eq!(
                (answer.status, answer.code().as_str(), answer.header("connection")),
                (413, "http/too-large", Some("close"))
            );
            assert!(sender.is_closed().await);
        }
        until(|| source.stats().connections == 0).await;
        assert_eq!(source.stats().in_flight_bytes, 0);
    });
}

#[test]
fn a_hundred_megabytes_in_chunks_are_cut_at_the_limit() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let sender = Sender::connect(source.address()).await;
        let (reader, mut writer) = sender.0.into_split();
        let flood = tokio::task::spawn_local(async move {
            writer.write_all(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            let mut written = 0;
            while written < 100 << 20 && writer.write_all(chunk.as_bytes()).await.is_ok() {
                written += chunk.len();
                // Never more than the limit is held, however much arrives.
            }
            (writer, written)
        });
        until(|| !source.stats().refusals.is_empty()).await;
        assert!(source.stats().in_flight_bytes <= MAX_BODY);
        let (writer, _) = flood.await.unwrap();
        let mut sender = Sender(reader.reunite(writer).unwrap());
        assert_eq!((sender.answer().await.code().as_str(), all.borrow().len()), ("http/too-large", 0));
        assert_eq!(source.stats().in_flight, 0);
    });
}

#[test]
fn a_form_of_a_million_names_is_refused_and_one_of_many_is_taken() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        source.routes().insert("acme", "/forms", Route::open(20, 8 << 20)).unwrap();
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let mut sender = Sender::connect(source.address()).await;
        let names: String = (0..1_000_000).map(|n| format!("{n:x}&")).collect();
        let answer = sender.post("/in/acme/forms", form, &names).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "http/too-large"));
        assert_eq!(source.stats().in_flight_bytes, 0);
        let mut sender = Sender::connect(source.address()).await;
        let names: String = (0..9_999).map(|n| format!("{n:x}&")).collect();
        assert_eq!(sender.post("/in/acme/forms", form, &names).await.status, 202);
        let json: serde_json::Value = serde_json::from_slice(&all.borrow()[0].payload).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 9_999);
        assert_eq!(source.stats().in_flight_bytes, 0);
    });
}

#[test]
fn a_body_is_asked_for_only_when_it_is_wanted() {
    run(async {
        let source = source(SourceOptions::default()).await;
        store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        sender.send(format!("{HEAD}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")).await;
        assert_eq!(sender.any_answer().await.status, 100);
        sender.send("{}").await;
        assert_eq!(sender.any_answer().await.status, 202);
        sender
            .send("POST /in/acme/none HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            .await;
        let answer = sender.any_answer().await;
        assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    });
}

#[test]
fn a_smuggled_request_never_becomes_a_message() {
    let inner = post("/in/acme/orders", "", "smuggled");
    run(async {
        for lengths in [
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + inner.len()),
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".into(),
        ] {
            let source = source(SourceOptions::default()).await;
            let all = store_all(&source);
            let mut sender = Sender::connect(source.address()).await;
            sender.send(format!("{HEAD}{lengths}\r\n0\r\n\r\n{inner}")).await;
            // Chunks win, as RFC 9112 wants it, and the connection ends with the answer.
            let answer = sender.answer().await;
            assert_eq!((answer.status, answer.header("connection")), (202, Some("close")));
            assert!(sender.is_closed().await);
            assert_eq!(all.borrow().len(), 1);
            assert!(all.borrow()[0].payload.is_empty());
        }
    });
}

#[test]
fn broken_framing_is_refused_and_the_connection_closed() {
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let big = format!("x-big: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(40 << 10));
    let cases = [
        (format!("{HEAD}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 400),
        (format!("{HEAD}Content-Length: +5\r\n\r\nhello"), 400),
        (format!("{HEAD}Content-Length: 5, 6\r\n\r\nhello"), 400),
        (format!("{HEAD}Content-Length: -1\r\n\r\n"), 400),
        (format!("{HEAD}Content-Length: 99999999999999999999\r\n\r\n"), 400),
        (format!("{HEAD}Transfer-Encoding: gzip\r\n\r\nx"), 400),
        (format!("{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 400),
        (format!("{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400),
        ("POST /in/acme/orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        (format!("{HEAD}x-folded: a\r\n b\r\nContent-Length: 0\r\n\r\n"), 400),
        (format!("{HEAD}Content-Length : 5\r\n\r\nhello"), 400),
        (format!("{HEAD}x-nul: a\0b\r\nContent-Length: 0\r\n\r\n"), 400),
        (format!("{HEAD}no-colon\r\nContent-Length: 0\r\n\r\n"), 400),
        (format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"), 400),
        (format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n"), 400),
        (format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"), 400),
        ("POST /in/acme/orders HTTP/1.1\r\nContent-Length: 0\r\n\r\n".into(), 400),
        ("POST /in/acme/orders HTTP/3.0\r\n\r\n".into(), 400),
        ("P@ST\x01 / HTTP/1.1\r\n\r\n".into(), 400),
        (format!("{HEAD}{many}Content-Length: 0\r\n\r\n"), 431),
        (format!("{HEAD}{big}"), 431),
    ];
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        for (request, status) in cases {
            let mut sender = Sender::connect(source.address()).await;
            // A second request behind the broken one must not be served as one.
            sender.send(format!("{request}{}", post("/in/acme/orders", "", "second"))).await;
            let first = sender.answer().await;
            assert_eq!(first.status, status, "{request:?}");
            if first.header("content-type").is_some() {
                assert_eq!(first.code(), "http/bad-request");
            }
        }
        assert!(all.borrow().iter().all(|incoming| incoming.payload == "second"), "{:?}", all.borrow());
        until(|| source.stats().in_flight == 0).await;
    });
}

#[test]
fn a_transfer_coding_that_is_not_chunked_is_refused_as_unknown() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        for coding in ["gzip, chunked", "GZIP,chunked", "chunked, chunked", "x-own;q=1, chunked"] {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(format!("{HEAD}Transfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
            let answer = sender.answer().await;
            assert_eq!((answer.status, answer.code().as_str()), (501, "http/transfer-coding"), "{coding}");
        }
        let mut sender = Sender::connect(source.address()).await;
        sender.send(format!("{HEAD}Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
        assert_eq!(sender.answer().await.status, 202);
        assert_eq!(all.borrow().len(), 1);
    });
}

#[test]
fn a_body_that_breaks_off_is_no_message() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        for start in [
            format!("{HEAD}Content-Length: 10\r\n\r\nhalf"),
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhel"),
        ] {
            let mut sender = Sender::connect(source.address()).await;
            sender.send(start).await;
            until(|| source.stats().in_flight_bytes > 0).await;
            drop(sender);
            until(|| source.stats().connections == 0).await;
            assert_eq!((source.stats().in_flight, source.stats().in_flight_bytes), (0, 0));
        }
        assert!(all.borrow().is_empty());
    });
}

#[test]
fn headers_that_dribble_in_end_the_connection() {
    run(async {
        let source = source(SourceOptions { header_timeout: SHORT, ..SourceOptions::default() }).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send("POST /in/acme/orders HTTP/1.1\r\nHost: he").await;
        assert!(sender.is_closed().await);
        let mut silent = Sender::connect(source.address()).await;
        assert!(silent.is_closed().await);
    });
}

#[test]
fn a_body_that_dribbles_in_is_answered_and_the_connection_ends() {
    run(async {
        let source = source(SourceOptions { body_timeout: SHORT, ..SourceOptions::default() }).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(format!("{HEAD}Content-Length: 10\r\n\r\nhalf")).await;
        let answer = sender.answer().await;
        assert_eq!(
            (answer.status, answer.code().as_str(), answer.header("connection")),
            (408, "http/request-timeout", Some("close"))
        );
        assert!(sender.is_closed().await);
        until(|| source.stats().in_flight_bytes == 0).await;
    });
}

#[test]
fn an_idle_connection_ends_but_not_one_that_waits_for_us() {
    run(async {
        let source =
            source(SourceOptions { idle_timeout: SHORT, header_timeout: SHORT, ..SourceOptions::default() }).await;
        let mut waiting = Sender::connect(source.address()).await;
        waiting.send(post("/in/acme/orders", "", "x")).await;
        let incoming = super::host::next(&source).await;
        let mut idle = Sender::connect(source.address()).await;
        assert_eq!(idle.post("/in/acme/none", "", "x").await.status, 404);
        assert!(idle.is_closed().await);
        // By now the other has waited longer than either timeout.
        connectors::Source::settle(&*source, incoming.item, super::host::stored("1"));
        assert_eq!(waiting.answer().await.status, 202);
    });
}
