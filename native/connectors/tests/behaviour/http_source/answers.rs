//! What a sender is answered, request by request.

use std::time::Duration;

use connectors::http::source::{Accept, Auth, Passes, Route, RoutedSource as _, Scheme, SourceOptions, Token};
use connectors::{Settled, Source};
use harness::run;
use message::{Code, Fault};

use tokio::io::AsyncWriteExt as _;

use super::host::{MAX_BODY, Sender, next, post, routes, source, store_all, stored, until};

#[test]
fn headers_and_parameters_that_the_route_names_go_on() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let passes = Passes {
            headers: vec!["x-github-event".parse().unwrap(), "x-request-id".parse().unwrap()],
            query: vec!["page".into(), "Q".into()],
        };
        let (auth, accept) = (Auth::None, Accept::ALL);
        source.routes().insert("acme", "/hook", Route { auth, accept, passes, ..Route::open(30, MAX_BODY) }).unwrap();
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let headers = "X-GitHub-Event: push\r\nX-Request-Id: 7\r\nX-Other: no\r\n";
        let path = "/in/acme/hook?page=1%20a+%C3%A9&page=2&q=no&Q&other=no";
        assert_eq!(sender.post(path, headers, "x").await.status, 202);
        assert_eq!(sender.post("/in/acme/orders?page=1", headers, "x").await.status, 202);
        for bad in ["?page=%0d%0aCustomer-ID:%20beta", "?page=%00", "?page=%ff", "?Q=%c2%85"] {
            let answer = sender.post(&format!("/in/acme/hook{bad}"), "", "x").await;
            assert_eq!((answer.status, answer.code().as_str()), (400, "http/bad-request"), "{bad}");
        }
        assert_eq!(sender.post("/in/acme/hook", "X-GitHub-Event: a\tb\r\n", "x").await.status, 400);
        let lines: Vec<_> = all.borrow().iter().map(|one| String::from_utf8(one.headers.clone()).unwrap()).collect();
        let named =
            "x-request-id: 7\r\nx-github-event: push\r\nQuery-page: 1 a \u{e9}\r\nQuery-page: 2\r\nQuery-Q: \r\n";
        assert_eq!(lines, [named, "x-request-id: 7\r\n"]);
    });
}

#[test]
fn a_sender_presents_what_it_knows_as_the_route_asks() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let key = |text| Token::new(text).unwrap();
        let several = Auth::Presents(Scheme::Bearer, vec![key("old"), key("new")]);
        let basic = Auth::Presents(Scheme::Basic, vec![Token::basic("Aladdin", "open sesame"), Token::basic("u", "")]);
        let header = Auth::Presents(Scheme::Header("x-api-key".parse().unwrap()), vec![key("k1"), key("k2")]);
        for (binding, path, auth) in [(40, "/several", several), (41, "/basic", basic), (42, "/key", header)] {
            let (accept, passes) = (Accept::ALL, Passes::default());
            source
                .routes()
                .insert("acme", path, Route { auth, accept, passes, ..Route::open(binding, MAX_BODY) })
                .unwrap();
        }
        let mut sender = Sender::connect(source.address()).await;
        let cases = [
            ("several", "Authorization: Bearer old\r\n", true),
            ("several", "authorization: bearer  new\r\n", true),
            ("several", "Authorization: Bearer oldnew\r\n", false),
            ("several", "Authorization: Bearer \r\n", false),
            ("several", "X-Api-Key: old\r\n", false),
            ("basic", "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n", true),
            ("basic", "Authorization: BASIC dTo=\r\n", true),
            ("basic", "Authorization: Basic dTp4\r\n", false),
            ("basic", "Authorization: Bearer dTo=\r\n", false),
            ("basic", "Authorization: Basic\r\n", false),
            ("key", "X-API-Key: k2\r\n", true),
            ("key", "X-API-Key: k1\r\nX-API-Key: k1\r\n", false),
            ("key", "X-API-Key: \r\n", false),
            ("key", "Authorization: Bearer k1\r\n", false),
            ("key", "", false),
        ];
        for (path, headers, is_known) in cases {
            let answer = sender.post(&format!("/in/acme/{path}"), headers, "x").await;
            assert_eq!(answer.status, if is_known { 202 } else { 401 }, "{path} {headers}");
            let asks = answer.header("www-authenticate").map(|text| text.split(' ').next().unwrap().to_owned());
            let scheme = match path {
                "several" => "Bearer",
                "basic" => "Basic",
                _ => "ApiKey",
            };
            assert_eq!(asks.as_deref(), (!is_known).then_some(scheme), "{path} {headers}");
        }
        assert_eq!(all.borrow().len(), 5);
    });
}

#[test]
fn a_form_is_brought_as_json() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for content_type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"] {
            let head = format!("Content-Type: {content_type}\r\n");
            assert_eq!(sender.post("/in/acme/orders", &head, "token=a%2Bb&text=one+two").await.status, 202);
            assert_eq!(sender.post("/in/acme/orders", &head, "a=%ff").await.code(), "http/bad-request");
            let long = format!("a={}", "\"".repeat(MAX_BODY - 10));
            assert_eq!(sender.post("/in/acme/orders", &head, &long).await.status, 413, "as JSON it is longer");
        }
        for incoming in &*all.borrow() {
            assert_eq!(incoming.payload, r#"{"token":"a+b","text":"one two"}"#);
            assert_eq!(&*incoming.content_type, "application/json");
        }
        assert_eq!((all.borrow().len(), source.stats().in_flight_bytes), (2, 0));
    });
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_gzip_body_is_taken_as_it_was_before_it_was_packed() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let body = "{\"a\":1}".repeat(100);
        let noise: Vec<u8> = (0..MAX_BODY).map(|n| (n * n % 251) as u8).collect();
        for (packed, status) in [
            (gzip(body.as_bytes()), 202),
            (gzip(b""), 202),
            (gzip(&noise), 202),
            (gzip(&vec![b' '; MAX_BODY + 1]), 413),
            (gzip(&vec![b' '; 50 << 20]), 413),
            (body.clone().into_bytes(), 400),
            (gzip(&noise)[..300].to_vec(), 400),
        ] {
            let mut sender = Sender::connect(source.address()).await;
            let head = "POST /in/acme/orders HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\n";
            sender.send([format!("{head}Content-Length: {}\r\n\r\n", packed.len()).as_bytes(), &packed].concat()).await;
            assert_eq!(sender.answer().await.status, status, "{} bytes", packed.len());
        }
        let payloads: Vec<_> = all.borrow().iter().map(|incoming| incoming.payload.clone()).collect();
        assert_eq!(payloads, [body.into_bytes(), Vec::new(), noise]);
        let stats = source.stats();
        assert_eq!((stats.in_flight, stats.in_flight_bytes), (0, 0));
    });
}

#[test]
fn a_message_that_goes_round_ends() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for (lines, status) in [
            ("X-Vrsky-Hops: 15\r\n", 202),
            ("X-Vrsky-Hops: 16\r\n", 508),
            ("X-Vrsky-Hops: 65535\r\n", 508),
            ("X-Vrsky-Hops: 99999\r\n", 508),
            ("X-Vrsky-Hops: 65536\r\n", 508),
            ("X-Vrsky-Hops: -1\r\n", 400),
            ("X-Vrsky-Hops: \r\n", 400),
            ("X-Vrsky-Hops: 1\r\nX-Vrsky-Hops: 1\r\n", 400),
        ] {
            assert_eq!(sender.post("/in/acme/orders", lines, "x").await.status, status, "{lines}");
        }
        assert_eq!(all.borrow()[0].headers, b"x-vrsky-hops: 15\r\n");
    });
}

#[test]
fn a_sender_that_half_closes_after_its_request_gets_the_answer() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "", "{}")).await;
        sender.0.shutdown().await.unwrap();
        let incoming = next(&source).await;
        // The end of what it sends has been read by now.
        tokio::task::yield_now().await;
        source.settle(incoming.item, stored("1"));
        assert_eq!(sender.answer().await.status, 202);
        assert!(sender.is_closed().await);
        until(|| source.stats().connections == 0).await;
    });
}

#[test]
fn a_message_is_answered_only_after_it_is_stored() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(post("/in/acme/orders", "Content-Type: application/JSON; charset=utf-8\r\nIdempotency-Key: k-1\r\nNats-Rollup: all\r\nX-Request-Id: r1\r\n", "{}")).await;
        let incoming = next(&source).await;
        assert_eq!(
            (incoming.binding, &incoming.payload[..], &*incoming.content_type),
            (7, &b"{}"[..], "application/json")
        );
        assert_eq!(incoming.idempotency_key.as_deref(), Some("k-1"));
        assert_eq!(incoming.headers, b"x-request-id: r1\r\n");
        // Nothing has been answered: the first byte comes after the settlement.
        assert!(sender.0.try_read(&mut [0; 1]).is_err());
        source.settle(incoming.item, stored("abc"));
        let answer = sender.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (202, "{\"id\":\"abc\"}"));
        assert_eq!(answer.header("vrsky-id"), Some("abc"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("date").is_some());
        assert_eq!(source.stats().in_flight, 0);
    });
}

#[test]
fn one_connection_serves_many_requests_and_errors_between_them() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for round in 0..20 {
            assert_eq!(sender.post("/in/acme/orders", "", "a").await.status, 202, "round {round}");
            assert_eq!(sender.post("/in/acme/nothing", "", &"b".repeat(5000)).await.status, 404);
            assert_eq!(sender.post("/in/acme/guarded", "", "c").await.status, 401);
        }
        assert_eq!(all.borrow().len(), 20);
        assert_eq!(source.stats().connections, 1);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        sender.send((0..10).map(|n| post("/in/acme/orders", "", &format!("m{n}"))).collect::<String>()).await;
        for n in 0..10 {
            assert_eq!(sender.answer().await.body, format!("{{\"id\":\"id-{n}\"}}"));
        }
        assert_eq!(&all.borrow()[9].payload[..], b"m9");
    });
}

#[test]
fn each_refusal_is_a_problem_document_with_its_code_and_header() {
    let long = "x".repeat(300);
    let cases = [
        ("/in/acme/none", "", 404, "http/not-found"),
        ("/in/zeta/orders", "", 404, "http/not-found"),
        ("/in/acme/orders/", "", 404, "http/not-found"),
        ("/in/acme/%6frders", "", 404, "http/not-found"),
        ("/", "", 404, "http/not-found"),
        ("/in/acme/guarded", "", 401, "http/unauthorized"),
        ("/in/acme/guarded", "Authorization: Bearer wrong\r\n", 401, "http/unauthorized"),
        ("/in/acme/guarded", "Authorization: Basic s3cret\r\n", 401, "http/unauthorized"),
        ("/in/acme/guarded", "Authorization: Bearer\r\n", 401, "http/unauthorized"),
        (
            "/in/acme/guarded",
            "Authorization: Bearer s3cret\r\nAuthorization: Bearer s3cret\r\n",
            401,
            "http/unauthorized",
        ),
        ("/in/acme/orders", "Content-Encoding: br\r\n", 415, "http/unsupported-media-type"),
        ("/in/acme/orders", "Content-Type: multipart/form-data; boundary=x\r\n", 415, "http/unsupported-media-type"),
        ("/in/acme/orders", "Content-Type: text/xml; charset=klingon\r\n", 415, "http/unsupported-media-type"),
        ("/in/acme/xml", "Content-Type: application/json\r\n", 415, "http/unsupported-media-type"),
        ("/in/acme/orders", "Idempotency-Key: \r\n", 400, "http/bad-request"),
        ("/in/acme/orders", &format!("Idempotency-Key: {long}\r\n"), 400, "http/bad-request"),
        ("/in/acme/orders", "ce-type: a\tb\r\n", 400, "http/bad-request"),
        ("/in/acme/orders", "Host: again\r\n", 400, "http/bad-request"),
    ];
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        for (path, headers, status, code) in cases {
            let answer = sender.post(path, headers, "x").await;
            assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path} {headers}");
            assert_eq!(answer.problem()["instance"], path);
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        }
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
            sender.send(format!("{method} /in/acme/orders HTTP/1.1\r\nHost: here\r\n\r\n")).await;
            let answer = sender.answer().await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
            assert_eq!(answer.code(), "http/method-not-allowed");
        }
        assert_eq!(source.stats().in_flight, 0);
        assert!(source.stats().refusals.contains(&(Code::HttpMethodNotAllowed, 5)));
    });
}

#[test]
fn the_right_token_comes_in_whatever_the_case_of_its_scheme() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let answer = sender.post("/in/acme/guarded", &format!("Authorization: {scheme} s3cret\r\n"), "x").await;
            assert_eq!(answer.status, 202);
        }
        assert_eq!(sender.post("/in/acme/local", "", "x").await.status, 202);
        assert!(all.borrow().iter().all(|incoming| incoming.headers.is_empty()));
    });
}

#[test]
fn without_auth_no_page_from_elsewhere_may_post() {
    run(async {
        let source = source(SourceOptions::default()).await;
        store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for (origin, status) in [
            ("http://localhost:3000", 202),
            ("http://127.0.0.1", 202),
            ("https://[::1]:8080", 202),
            ("https://evil.example", 403),
            ("http://localhost.evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            let answer = sender.post("/in/acme/local", &format!("Origin: {origin}\r\n"), "x").await;
            assert_eq!(answer.status, status, "{origin}");
            // Who has a token, or wrote `auth: none`, has decided.
            assert_eq!(sender.post("/in/acme/orders", &format!("Origin: {origin}\r\n"), "x").await.status, 202);
        }
        assert!(source.stats().refusals.contains(&(Code::HttpForbidden, 4)));
    });
}

#[test]
fn what_the_host_refuses_is_told_with_its_reason_and_pause() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        for (code, pause, status, retry_after) in [
            (Code::LimitRate, Some(Duration::from_millis(1500)), 429, Some("2")),
            (Code::LimitBacklog, None, 429, Some("1")),
            (Code::NatsStreamFull, None, 503, Some("1")),
            (Code::NatsMaxPayload, None, 413, None),
            (Code::NatsMaxPayload, Some(Duration::from_secs(1)), 413, None),
        ] {
            sender.send(post("/in/acme/orders", "", "x")).await;
            let incoming = next(&source).await;
            source.settle(incoming.item, Settled::Refused { fault: Fault::new(code, "because"), retry_after: pause });
            let answer = sender.answer().await;
            assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
            assert_eq!((answer.code().as_str(), &answer.problem()["detail"]), (code.as_str(), &"because".into()));
        }
    });
}

#[test]
fn what_the_host_returns_is_for_whom_the_path_leads_to_now() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let mut sender = Sender::connect(source.address()).await;
        let route = |binding, auth, max_body| Route { auth, ..Route::open(binding, max_body) };
        let token = || Auth::bearer(Token::new("s3cret").unwrap());
        for (next_route, status) in [
            (Some(route(20, Auth::None, MAX_BODY)), 202),
            // It is checked as if it had just come.
            (Some(route(20, token(), MAX_BODY)), 401),
            (Some(route(20, Auth::None, 2)), 413),
            (None, 404),
            // Who still has the path is the one that is gone.
            (Some(route(7, Auth::None, MAX_BODY)), 404),
        ] {
            *source.routes() = routes();
            sender.send(post("/in/acme/orders", "Idempotency-Key: k\r\n", "xyz")).await;
            let earlier = next(&source).await;
            let new = next_route.as_ref().map(|route| route.binding);
            match next_route {
                Some(route) => source.routes().replace("acme", "/orders", route).unwrap(),
                None => source.routes().remove("acme", "/orders", earlier.binding),
            }
            source.settle(earlier.item, Settled::Returned { payload: earlier.payload });
            if status == 202 {
                let again = next(&source).await;
                assert_eq!((Some(again.binding), &*again.payload), (new, &b"xyz"[..]));
                assert_eq!((again.headers, again.idempotency_key), (earlier.headers, Some("k".into())));
                assert_ne!(again.item, earlier.item);
                source.settle(again.item, stored("1"));
            }
            assert_eq!(sender.answer().await.status, status);
            assert_eq!((source.stats().in_flight, source.stats().in_flight_bytes), (0, 0));
        }
    });
}

#[test]
fn a_body_at_the_limit_comes_in_and_one_byte_more_does_not() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        assert_eq!(sender.post("/in/acme/orders", "", &"x".repeat(MAX_BODY)).await.status, 202);
        let answer = sender.post("/in/acme/orders", "", &"x".repeat(MAX_BODY + 1)).await;
        assert_eq!((answer.status, answer.code().as_str()), (413, "http/too-large"));
        // The rest was small enough to read over, so the connection goes on.
        assert_eq!(sender.post("/in/acme/orders", "", "").await.status, 202);
        assert_eq!(all.borrow().len(), 2);
    });
}

#[test]
fn new_routes_replace_all_old_ones_at_once() {
    run(async {
        let source = source(SourceOptions::default()).await;
        store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        assert_eq!(sender.post("/in/acme/orders", "", "x").await.status, 202);
        *source.routes() = connectors::http::source::Routes::new();
        assert_eq!(sender.post("/in/acme/orders", "", "x").await.status, 404);
        *source.routes() = super::host::routes();
        assert_eq!(sender.post("/in/acme/orders?a=b", "", "x").await.status, 202);
    });
}
