//! What is sent.

use bytes::Bytes;
use connectors::http::UrlTemplate;
use connectors::http::sink::{HttpSink, Method, SinkOptions, Tls};
use connectors::{Delivery, Sink};
use harness::run;
use message::Code;

use super::server::{OK, Reply, Server, deliver, delivery, keep, loopback, options, sink, verdict};

#[test]
fn a_get_or_delete_leaves_the_message_out() {
    run(async {
        for (method, start) in [(Method::Get, "get /n/7 http/1.1"), (Method::Delete, "delete /n/7 http/1.1")] {
            let server = Server::start([keep(OK), keep(OK)]).await;
            let sink = sink(SinkOptions { method, ..options(&server.url("/n/7")) });
            // The second on the same connection: nothing of the first one's body is in its way.
            for request in 0..2 {
                assert_eq!(verdict(&sink.write_batch(&[delivery("id-1", None)]).await[0]), Ok(()));
                let head = server.head(request);
                assert!(head.starts_with(start) && head.contains("idempotency-key: id-1"), "{head}");
                assert!(!head.contains("content-type") && server.requests.borrow()[request].1.is_empty(), "{head}");
            }
        }
    });
}

#[test]
fn each_post_of_a_message_counts() {
    run(async {
        for (block, hops) in [
            (&b""[..], "1"),
            (b"NATS/1.0\r\nx-vrsky-hops: 4\r\n\r\n", "5"),
            (b"NATS/1.0\r\nX-Vrsky-Hops: 65535\r\n\r\n", "65535"),
            (b"NATS/1.0\r\nX-Vrsky-Hops: 99999\r\n\r\n", "65535"),
            (b"NATS/1.0\r\nX-Vrsky-Hops: many\r\n\r\n", "65535"),
            (b"NATS/1.0\r\nX-Vrsky-Hops: -1\r\n\r\n", "65535"),
            (b"NATS/1.0\r\nX-Vrsky-Hops: 2\r\nx-vrsky-hops: 3\r\n\r\n", "4"),
        ] {
            let server = Server::start([keep(OK)]).await;
            let sink = sink(options(&server.url("/")));
            let delivery = Delivery { headers: block, ..delivery("id-1", None) };
            assert_eq!(verdict(&sink.write_batch(&[delivery]).await[0]), Ok(()));
            let head = server.head(0);
            assert_eq!(head.matches("x-vrsky-hops").count(), 1, "{head}");
            assert!(head.contains(&format!("x-vrsky-hops: {hops}\r\n")), "{head}");
        }
        let server = Server::start([keep("HTTP/1.1 508 X\r\ncontent-length: 0\r\n\r\n")]).await;
        assert_eq!(verdict(&deliver(options(&server.url("/"))).await), Err((Code::HttpLoop, false)));
    });
}

#[test]
fn an_outs_content_type_takes_the_place_of_the_messages() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let content_type = Some("text/xml; charset=utf-8".to_owned());
        let sink = sink(SinkOptions { content_type, ..options(&server.url("/soap")) });
        assert_eq!(verdict(&sink.write_batch(&[delivery("id-1", None)]).await[0]), Ok(()));
        let head = server.head(0);
        assert!(head.contains("content-type: text/xml; charset=utf-8\r\n"), "{head}");
        assert!(!head.contains("application/json"), "{head}");
    });
}

#[test]
fn a_request_carries_the_id_the_type_the_trace_and_what_the_out_says() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(SinkOptions {
            headers: vec![("X-Api-Key".into(), "k".into()), ("Accept".into(), "text/plain".into())],
            authorization: Some("Bearer s3cret".into()),
            ..options(&server.url("/orders?a=b"))
        });
        let mut delivery = delivery("id-1", None);
        delivery.headers =
            b"NATS/1.0\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nTracestate: a=1\r\nce-type: order\r\nCustomer-ID: acme\r\nNats-Msg-Id: 9\r\nVrsky-Id: 9\r\nX-Request-Id: r\r\n\r\n";
        assert_eq!(verdict(&sink.write_batch(&[delivery]).await[0]), Ok(()));
        let head = server.head(0);
        assert!(head.starts_with("post /orders?a=b http/1.1\r\n"), "{head}");
        for line in [
            &format!("host: {}", server.address),
            "idempotency-key: id-1",
            "content-type: application/json",
            "content-length: 7",
            "tracestate: a=1",
            "ce-type: order",
            "x-request-id: r",
            "x-api-key: k",
            "accept: text/plain",
            "authorization: bearer s3cret",
        ] {
            assert!(head.lines().any(|known| known == line), "{line} in {head}");
        }
        let parent = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
        assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && parent.ends_with("-01"), "{parent}");
        assert!(!parent.contains("00f067aa0ba902b7"), "the hop is the parent of what follows: {parent}");
        for foreign in ["customer-id", "nats-", "vrsky-", "transfer-encoding"] {
            assert!(!head.contains(&format!("\n{foreign}")), "{foreign} in {head}");
        }
        assert_eq!(server.requests.borrow()[0].1, b"{\"a\":1}");
    });
}

#[test]
fn an_empty_payload_is_sent_with_its_length() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        for method in [Method::Post, Method::Put, Method::Patch] {
            let sink = sink(SinkOptions { method, ..options(&server.url("/")) });
            let empty = Delivery { payload: &Bytes::new(), ..delivery("1", None) };
            assert_eq!(verdict(&sink.write_batch(&[empty]).await[0]), Ok(()));
            let head = server.head(server.count() - 1);
            let lengths: Vec<&str> = head.lines().filter(|line| line.starts_with("content-length")).collect();
            assert_eq!(lengths, ["content-length: 0"], "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
        }
    });
}

#[test]
fn methods_and_rendered_urls() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        for (method, line) in [(Method::Put, "put /orders/7 "), (Method::Patch, "patch /orders/7 ")] {
            let sink = sink(SinkOptions { method, ..options(&server.url("/orders/{id}")) });
            let outcomes = sink.write_batch(&[delivery("1", Some(server.url("/orders/7")))]).await;
            assert_eq!(verdict(&outcomes[0]), Ok(()));
            assert!(server.head(server.count() - 1).starts_with(line));
        }
    });
}

#[test]
fn a_url_that_left_its_template_is_not_followed() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(options(&server.url("/orders/{id}")));
        for url in [
            None,
            Some("http://evil.example/orders/7".into()),
            Some(server.url(".evil.example/")),
            Some(server.url("@evil.example/")),
            Some(server.url("0/x")),
            Some(server.url("/a b")),
        ] {
            let outcomes = sink.write_batch(&[delivery("1", url.clone())]).await;
            assert_eq!(verdict(&outcomes[0]), Err((Code::HttpBadUrl, false)), "{url:?}");
        }
        assert_eq!(server.count(), 0);
    });
}

#[test]
fn connections_are_kept_and_no_more_than_allowed_are_opened() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let sink = sink(SinkOptions { concurrency: 3, ..options(&server.url("/")) });
        let batch: Vec<_> = (0..30).map(|n| delivery(&n.to_string(), None)).collect();
        for _ in 0..3 {
            let (one, other) = tokio::join!(sink.write_batch(&batch), sink.write_batch(&batch));
            assert!(one.iter().chain(&other).all(|outcome| verdict(outcome).is_ok()) && one.len() == 30);
        }
        assert_eq!(server.count(), 180);
        assert!(*server.connections.borrow() <= 3, "{}", server.connections.borrow());
        sink.close().await;
    });
}

#[test]
fn outcomes_stand_in_the_order_of_the_batch() {
    run(async {
        let server = Server::start([
            keep("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            keep(OK),
            keep("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"),
        ])
        .await;
        let sink = sink(SinkOptions { concurrency: 1, ..options(&server.url("/")) });
        let batch: Vec<_> = (0..3).map(|n| delivery(&n.to_string(), None)).collect();
        let verdicts: Vec<_> = sink.write_batch(&batch).await.iter().map(verdict).collect();
        assert_eq!(verdicts, [Err((Code::HttpRejected, false)), Ok(()), Err((Code::HttpServerError, true))]);
    });
}

#[test]
fn headers_that_cannot_be_sent_are_refused_at_the_start() {
    let new = |name: &str, value: &str| {
        let options = SinkOptions {
            headers: vec![(name.into(), value.into())],
            ..SinkOptions::new(UrlTemplate::parse("http://a/").unwrap())
        };
        HttpSink::new(options, &Tls::new(None).unwrap(), &loopback()).map(|_| ()).map_err(|fault| fault.code())
    };
    assert_eq!(new("X-Fine", "ä"), Ok(()));
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("x:", "x"),
        ("x", "a\r\nb: c"),
        ("x", "a\nb"),
        ("x", "\0"),
        ("Host", "x"),
        ("content-length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Idempotency-Key", "1"),
        ("Connection", "close"),
        ("Content-Type", "x"),
    ] {
        assert_eq!(new(name, value), Err(Code::ConfigInvalidValue), "{name}: {value}");
    }
    let options = SinkOptions {
        authorization: Some("Bearer a\r\nb".into()),
        ..SinkOptions::new(UrlTemplate::parse("http://a/").unwrap())
    };
    let fault = HttpSink::new(options, &Tls::new(None).unwrap(), &loopback()).err().unwrap();
    assert!(fault.code() == Code::ConfigInvalidValue && !fault.to_string().contains("Bearer"));
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_costs_nothing() {
    run(async {
        // Closed after the answer, without saying so.
        let server = Server::start([Reply::Close(OK.into())]).await;
        let options = options(&server.url("/"));
        let sink = sink(options.clone());
        for _ in 0..5 {
            assert_eq!(verdict(&sink.write_batch(&[delivery("1", None)]).await[0]), Ok(()));
        }
        assert_eq!(server.count(), 5);
        assert_eq!(verdict(&deliver(options).await), Ok(()));
    });
}
