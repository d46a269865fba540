//! Webhooks: signatures over the body as it came, deliveries that come again, and what senders ask first.

use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use connectors::http::source::signature::{
    Algorithm, Deduplicate, Encoding, Hmac, Sender as Signer, Signature, SignatureOptions, SigningSecret,
};
use connectors::http::source::{
    Accept, Auth, Handshake, HttpSource, Passes, Reply, Route, RoutedSource as _, Scheme, SourceOptions, Token, When,
};
use connectors::{Settled, Source};
use flate2::Compression;
use flate2::write::GzEncoder;
use harness::run;
use http::Method;
use message::Code;

use super::host::{Answer, MAX_BODY, Sender, next, source, store_all};

const GITHUB: &str = "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17\r\n\
    Content-Type: text/plain\r\n";

fn signed_by(sender: Signer, secrets: &[&str]) -> Option<Arc<Signature>> {
    let secrets = secrets.iter().map(|secret| SigningSecret::new(*secret).named(format!("name-of-{secret}")));
    let options = SignatureOptions { sender, secrets: secrets.collect(), tolerance: None, deduplicate: None };
    Some(Arc::new(Signature::new(&options).unwrap()))
}

fn github() -> Option<Arc<Signature>> {
    let secrets = ["new", "It's a Secret to Everybody"];
    let secrets = secrets.iter().zip(["new", "old"]).map(|(value, name)| SigningSecret::new(*value).named(name));
    let secrets = secrets.collect();
    let options = SignatureOptions { sender: Signer::GitHub, secrets, tolerance: None, deduplicate: None };
    Some(Arc::new(Signature::new(&options).unwrap()))
}

async fn with(route: Route) -> Rc<HttpSource> {
    let source = source(SourceOptions::default()).await;
    source.routes().insert("acme", "/hook", route).unwrap();
    source
}

fn hook() -> Route {
    Route::open(50, MAX_BODY)
}

fn hmac(secret: &str, signed: &[u8]) -> String {
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes()), signed);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn ask(sender: &mut Sender, head: &str, body: &[u8]) -> Answer {
    sender.send(format!("{head}Host: here\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    sender.send(body).await;
    sender.answer().await
}

fn count(source: &HttpSource, code: Code) -> u64 {
    source.stats().refusals.iter().find(|(counted, _)| *counted == code).map_or(0, |(_, count)| *count)
}

#[test]
fn a_signed_body_comes_in_and_another_does_not() {
    run(async {
        let source = with(Route { signature: github(), ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let headers = format!("{GITHUB}X-GitHub-Delivery: d-1\r\n");
        assert_eq!(sender.post("/in/acme/hook", &headers, "Hello, World!").await.status, 202);
        for (headers, body, code) in [
            (&*headers, "Hello, World?", "http/signature-wrong"),
            (&headers, "", "http/signature-wrong"),
            ("", "Hello, World!", "http/signature-missing"),
            ("X-Hub-Signature-256: sha256=00\r\n", "Hello, World!", "http/signature-malformed"),
        ] {
            let answer = sender.post("/in/acme/hook", headers, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, code));
            assert_eq!(answer.header("www-authenticate"), Some("Signature"));
            assert!(!answer.body.contains("757107ea") && !answer.body.contains("Secret to"), "{answer:?}");
        }
        assert_eq!((count(&source, Code::HttpSignatureWrong), count(&source, Code::HttpSignatureMissing)), (2, 1));
        let all = all.borrow();
        assert_eq!((all.len(), &*all[0].payload), (1, &b"Hello, World!"[..]));
        assert_eq!(String::from_utf8_lossy(&all[0].headers), "Auth-name: old\r\n");
    });
}

#[test]
fn a_request_that_is_too_old_is_refused_before_its_body_comes() {
    run(async {
        let source = with(Route { signature: signed_by(Signer::Slack, &["s"]), ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let headers = |time: u64| {
            let signature = hmac("s", format!("v0:{time}:{{}}").as_bytes());
            format!(
                "Content-Type: application/json\r\nX-Slack-Request-Timestamp: {time}\r\nX-Slack-Signature: v0={signature}\r\n"
            )
        };
        assert_eq!(sender.post("/in/acme/hook", &headers(now()), "{}").await.status, 202);
        for time in [now() - 400, now() + 400] {
            // With `Expect` nobody sends a body that is refused at the door.
            let head =
                format!("POST /in/acme/hook HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n{}", headers(time));
            let mut sender = Sender::connect(source.address()).await;
            sender.send(format!("{head}Content-Length: 2\r\n\r\n")).await;
            let answer = sender.any_answer().await;
            assert_eq!((answer.status, answer.code().as_str()), (401, "http/signature-expired"));
        }
        assert_eq!(all.borrow().len(), 1);
    });
}

#[test]
fn what_is_signed_is_what_came_over_the_wire() {
    run(async {
        let form = Hmac {
            header: "x-signature".into(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            prefix: String::new(),
            timestamp: None,
            id: None,
            signed: "{body}".into(),
            secret: Encoding::Text,
        };
        let source = with(Route { signature: signed_by(Signer::Hmac(form), &["s"]), ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(b"a=1&b=2").unwrap();
        let packed = encoder.finish().unwrap();
        let head = |encoding: &str, signature: &str| {
            format!(
                "POST /in/acme/hook HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n{encoding}X-Signature: {signature}\r\n"
            )
        };
        let gzip = "Content-Encoding: gzip\r\n";
        assert_eq!(ask(&mut sender, &head("", &hmac("s", b"a=1&b=2")), b"a=1&b=2").await.status, 202);
        assert_eq!(ask(&mut sender, &head(gzip, &hmac("s", &packed)), &packed).await.status, 202);
        let answer = ask(&mut sender, &head(gzip, &hmac("s", b"a=1&b=2")), &packed).await;
        assert_eq!(answer.code(), "http/signature-wrong", "of the body before it was packed");
        let answer = ask(&mut sender, &head(gzip, &hmac("t", b"no gzip")), b"no gzip").await;
        assert_eq!(answer.code(), "http/signature-wrong", "nothing is unpacked before it is known who sent it");
        let payloads: Vec<_> = all.borrow().iter().map(|one| one.payload.clone()).collect();
        assert_eq!(payloads, [&br#"{"a":"1","b":"2"}"#[..]; 2]);
    });
}

#[test]
fn a_delivery_that_comes_again_has_the_key_of_the_first_whatever_the_sender_writes_beside_it() {
    run(async {
        let source = with(Route { signature: github(), ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for more in ["X-GitHub-Delivery: d-1\r\n", "Idempotency-Key: k\r\nX-GitHub-Delivery: d-1\r\n"] {
            assert_eq!(sender.post("/in/acme/hook", &format!("{GITHUB}{more}"), "Hello, World!").await.status, 202);
        }
        assert_eq!(sender.post("/in/acme/hook", GITHUB, "Hello, World!").await.code(), "http/bad-request");
        let key = |at: usize| all.borrow()[at].idempotency_key.clone();
        assert!(key(0).is_some() && key(0) == key(1) && all.borrow().len() == 2);

        let secrets = vec![SigningSecret::new("It's a Secret to Everybody")];
        let deduplicate = Some(Deduplicate::Off);
        let options = SignatureOptions { sender: Signer::GitHub, secrets, tolerance: None, deduplicate };
        let signature = Some(Arc::new(Signature::new(&options).unwrap()));
        source.routes().replace("acme", "/hook", Route { signature, ..hook() }).unwrap();
        let headers = format!("{GITHUB}Idempotency-Key: k\r\n");
        assert_eq!(sender.post("/in/acme/hook", &headers, "Hello, World!").await.status, 202);
        assert_eq!(key(2).as_deref(), Some("k"));
    });
}

#[test]
fn a_token_and_a_signature_can_both_be_asked_for() {
    run(async {
        let auth = Auth::bearer(Token::new("t").unwrap());
        let source = with(Route { signature: github(), auth, ..hook() }).await;
        store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let signed = format!("{GITHUB}X-GitHub-Delivery: d-1\r\n");
        let both = format!("{signed}Authorization: Bearer t\r\n");
        assert_eq!(sender.post("/in/acme/hook", &both, "Hello, World!").await.status, 202);
        let answer = sender.post("/in/acme/hook", &signed, "Hello, World!").await;
        assert_eq!((answer.code().as_str(), answer.header("www-authenticate")), ("http/unauthorized", Some("Bearer")));
        let answer = sender.post("/in/acme/hook", "Authorization: Bearer t\r\n", "Hello, World!").await;
        assert_eq!(answer.code(), "http/signature-missing");
    });
}

/// Its body may be unpacked by then, so nobody can look at its signature again.
#[test]
fn a_message_is_sent_again_when_its_path_becomes_that_of_another_signed_pipeline() {
    run(async {
        let source = with(hook()).await;
        let mut sender = Sender::connect(source.address()).await;
        sender.send(super::host::post("/in/acme/hook", "", "x")).await;
        let incoming = next(&source).await;
        source.routes().replace("acme", "/hook", Route { signature: github(), ..Route::open(51, MAX_BODY) }).unwrap();
        source.settle(incoming.item, Settled::Returned { payload: incoming.payload });
        assert_eq!(sender.answer().await.code(), "http/unavailable");
    });
}

#[test]
fn messages_say_which_of_several_tokens_was_presented() {
    run(async {
        let key = |name: &str| Token::new(&format!("key-{name}")).unwrap().named(name);
        let auth = Auth::Presents(Scheme::Bearer, vec![key("partner-a"), key("partner-b"), Token::new("x").unwrap()]);
        let passes = Passes { headers: vec!["auth-name".parse().unwrap()], ..Passes::default() };
        let source = with(Route { auth, passes, ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for token in ["key-partner-b", "x"] {
            let headers = format!("Auth-Name: partner-a\r\nAuthorization: Bearer {token}\r\n");
            assert_eq!(sender.post("/in/acme/hook", &headers, "x").await.status, 202);
        }
        let lines: Vec<_> = all.borrow().iter().map(|one| String::from_utf8(one.headers.clone()).unwrap()).collect();
        assert_eq!(lines, ["Auth-name: partner-b\r\n", ""], "no sender can say it for us");
    });
}

/// Keys of a request with this idempotency key by each of the tokens.
async fn keys_of(tokens: Vec<Token>, presented: &[&str]) -> Vec<String> {
    let source = with(Route { auth: Auth::Presents(Scheme::Bearer, tokens), ..hook() }).await;
    let all = store_all(&source);
    let mut sender = Sender::connect(source.address()).await;
    for token in presented {
        let headers = format!("Idempotency-Key: k\r\nAuthorization: Bearer {token}\r\n");
        assert_eq!(sender.post("/in/acme/hook", &headers, "x").await.status, 202);
    }
    all.borrow().iter().map(|one| one.idempotency_key.as_deref().unwrap().to_owned()).collect()
}

#[test]
fn each_of_several_senders_has_keys_of_its_own_whichever_of_its_tokens_it_presents() {
    run(async {
        let token = |name: &str| Token::new(name).unwrap();
        assert_eq!(keys_of(vec![token("only")], &["only"]).await, ["k"], "as it was");
        let named = |name: &str| token(name).named(name);
        let tokens = vec![named("shop-old").of_sender("shop"), named("shop-new").of_sender("shop"), named("warehouse")];
        let keys = keys_of(tokens, &["shop-old", "shop-new", "warehouse"]).await;
        assert_eq!(keys, ["k\nSender: shop\n", "k\nSender: shop\n", "k\nSender: warehouse\n"]);
    });
}

#[test]
fn a_delivery_is_one_whichever_secret_signs_it_unless_the_secrets_are_of_named_senders() {
    run(async {
        for (senders, keys) in [([None, None], 1), ([Some("a"), Some("a")], 1), ([Some("a"), Some("b")], 2)] {
            let secrets = ["one", "two"].iter().zip(senders).map(|(value, sender)| SigningSecret {
                sender: sender.map(str::to_owned),
                ..SigningSecret::new(*value).named(*value)
            });
            let deduplicate = Some(Deduplicate::Content);
            let options =
                SignatureOptions { sender: Signer::GitHub, secrets: secrets.collect(), tolerance: None, deduplicate };
            let signature = Some(Arc::new(Signature::new(&options).unwrap()));
            let source = with(Route { signature, ..hook() }).await;
            let all = store_all(&source);
            let mut sender = Sender::connect(source.address()).await;
            for secret in ["one", "two"] {
                let headers = format!("X-Hub-Signature-256: sha256={}\r\n", hmac(secret, b"x"));
                assert_eq!(sender.post("/in/acme/hook", &headers, "x").await.status, 202);
            }
            let found: std::collections::BTreeSet<_> =
                all.borrow().iter().map(|one| one.idempotency_key.clone().unwrap()).collect();
            assert_eq!(found.len(), keys, "{senders:?}");
        }
    });
}

#[test]
fn a_get_or_delete_without_a_body_is_an_empty_object_to_those_who_read_it() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let methods = vec![Method::POST, Method::GET, Method::DELETE];
        let route = |accept| Route { methods: methods.clone(), accept, ..Route::open(60, MAX_BODY) };
        for (path, accept) in [
            ("/json", Accept::JSON),
            ("/all", Accept::ALL),
            ("/any", Accept::ANY),
            ("/xml", Accept::XML | Accept::BYTES),
        ] {
            source.routes().insert("zeta", path, route(accept)).unwrap();
        }
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        for head in [
            "GET /in/zeta/json HTTP/1.1\r\nHost: here\r\n\r\n",
            "DELETE /in/zeta/all HTTP/1.1\r\nHost: here\r\nContent-Type: text/xml\r\nContent-Length: 0\r\n\r\n",
            "DELETE /in/zeta/all HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "DELETE /in/zeta/all HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n[1]",
            "POST /in/zeta/all HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n",
            "DELETE /in/zeta/any HTTP/1.1\r\nHost: here\r\n\r\n",
            "DELETE /in/zeta/xml HTTP/1.1\r\nHost: here\r\n\r\n",
        ] {
            sender.send(head).await;
            assert_eq!(sender.answer().await.status, 202, "{head}");
        }
        let seen: Vec<_> = all
            .borrow()
            .iter()
            .map(|one| (String::from_utf8(one.payload.to_vec()).unwrap(), one.content_type.to_string()))
            .collect();
        let json = "application/json";
        let expected = [("{}", json), ("{}", json), ("{}", json), ("[1]", ""), ("", ""), ("", ""), ("", "")];
        assert_eq!(seen, expected.map(|(payload, media)| (payload.to_owned(), media.to_owned())));
    });
}

#[test]
fn a_challenge_in_the_query_is_sent_back_to_who_knows_the_verify_token() {
    run(async {
        let verify = Some(("hub.verify_token".to_owned(), vec![Token::new("meat").unwrap()]));
        let meta = Handshake::Query { method: Method::GET, challenge: "hub.challenge".into(), verify };
        let graph = Handshake::Query { method: Method::POST, challenge: "validationToken".into(), verify: None };
        let source = with(Route { handshakes: vec![meta, graph], signature: github(), ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let mut get =
            async |query: &str| ask(&mut sender, &format!("GET /in/acme/hook{query} HTTP/1.1\r\n"), b"").await;
        let answer = get("?hub.mode=subscribe&hub.verify_token=meat&hub.challenge=%3Cb%3E+1158201444").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "<b> 1158201444"));
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        for bad in [
            "?hub.challenge=1",
            "?hub.challenge=1&hub.verify_token=meet",
            "?hub.challenge=1&hub.challenge=2&hub.verify_token=meat",
            "?hub.challenge=%0d%0a&hub.verify_token=meat",
            &format!("?hub.challenge={}&hub.verify_token=meat", "x".repeat(3_000)),
        ] {
            let answer = get(bad).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "http/handshake-refused"), "{bad}");
        }
        assert_eq!(get("?hub.challenge=%ff&hub.verify_token=meat").await.code(), "http/bad-request");
        let answer = get("?other=1").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, GET")));
        let answer = ask(&mut sender, "POST /in/acme/hook?validationToken=abc%2B1 HTTP/1.1\r\n", b"").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "abc+1"));
        assert_eq!(ask(&mut sender, "POST /in/acme/hook HTTP/1.1\r\n", b"").await.code(), "http/signature-missing");
        assert!(all.borrow().is_empty());
        assert_eq!((source.stats().in_flight, source.stats().in_flight_bytes), (0, 0));
    });
}

#[test]
fn a_posted_challenge_is_sent_back_once_its_signature_is_right() {
    run(async {
        let when = When::Field("type".into(), "url_verification".into());
        let slack = Handshake::Body { challenge: "challenge".into(), when, reply: Reply::Json };
        let signature = signed_by(Signer::Slack, &["s"]);
        let source = with(Route { handshakes: vec![slack], signature, ..hook() }).await;
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let time = now();
        let headers = |body: &str, secret: &str| {
            let signature = hmac(secret, format!("v0:{time}:{body}").as_bytes());
            format!(
                "Content-Type: application/json\r\nX-Slack-Request-Timestamp: {time}\r\nX-Slack-Signature: v0={signature}\r\n"
            )
        };
        let body = r#"{"token":"t","challenge":"3eZ<b>\"","type":"url_verification"}"#;
        let answer = sender.post("/in/acme/hook", &headers(body, "s"), body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"challenge":"3eZ<b>\""}"#));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(sender.post("/in/acme/hook", &headers(body, "t"), body).await.code(), "http/signature-wrong");
        let event = r#"{"challenge":"mine","type":"event_callback"}"#;
        assert_eq!(sender.post("/in/acme/hook", &headers(event, "s"), event).await.status, 202);
        assert_eq!(all.borrow().len(), 1);
        assert_eq!((source.stats().in_flight, source.stats().in_flight_bytes), (0, 0));
    });
}

#[test]
fn cloud_events_may_be_delivered_by_origins_that_are_named() {
    run(async {
        let named = Handshake::CloudEvents { origins: vec!["eventgrid.azure.net".into()], rate: Some(120) };
        let source =
            with(Route { handshakes: vec![named], auth: Auth::bearer(Token::new("t").unwrap()), ..hook() }).await;
        let any = Handshake::CloudEvents { origins: Vec::new(), rate: None };
        source.routes().insert("acme", "/any", Route { handshakes: vec![any], ..hook() }).unwrap();
        let mut sender = Sender::connect(source.address()).await;
        let mut options = async |path: &str, headers: &str| {
            ask(&mut sender, &format!("OPTIONS /in/acme/{path} HTTP/1.1\r\n{headers}"), b"").await
        };
        let answer = options("hook", "WebHook-Request-Origin: eventgrid.azure.net\r\n").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
        assert_eq!(answer.header("webhook-allowed-origin"), Some("eventgrid.azure.net"));
        assert_eq!(answer.header("webhook-allowed-rate"), Some("120"));
        let answer = options("hook", "WebHook-Request-Origin: evil.example\r\n").await;
        assert_eq!((answer.code().as_str(), answer.header("webhook-allowed-origin")), ("http/handshake-refused", None));
        let answer = options("hook", "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
        let answer = options("any", "WebHook-Request-Origin: x.example\r\nWebHook-Request-Rate: 60\r\n").await;
        assert_eq!(answer.header("webhook-allowed-origin"), Some("*"));
        assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
        let answer = options("any", "WebHook-Request-Origin: x.example\r\n").await;
        assert_eq!(answer.header("webhook-allowed-rate"), None);
    });
}

#[test]
fn a_path_has_parameters_and_takes_the_methods_that_it_names() {
    run(async {
        let source = source(SourceOptions::default()).await;
        let methods = vec![Method::POST, Method::PUT, Method::DELETE];
        let lines = Route { methods, ..Route::open(60, MAX_BODY) };
        source.routes().insert("acme", "/items/{id}/lines/{line-no}", lines).unwrap();
        source
            .routes()
            .insert("acme", "/items/{id}", Route { methods: vec![Method::PUT], ..Route::open(61, 9) })
            .unwrap();
        let all = store_all(&source);
        let mut sender = Sender::connect(source.address()).await;
        let mut asked = async |line: &str| ask(&mut sender, &format!("{line} HTTP/1.1\r\n"), b"").await;
        assert_eq!(asked("PUT /in/acme/items/a%20%C3%A9/lines/7").await.status, 202);
        assert_eq!(asked("DELETE /in/acme/items/1/lines/2?x=/3").await.status, 202);
        assert_eq!(asked("PUT /in/acme/items/x").await.status, 202);
        let answer = asked("PATCH /in/acme/items/1/lines/2").await;
        assert_eq!(
            (answer.code().as_str(), answer.header("allow")),
            ("http/method-not-allowed", Some("POST, PUT, DELETE"))
        );
        assert_eq!(asked("POST /in/acme/items/x").await.header("allow"), Some("PUT"));
        assert_eq!(asked("GET /in/acme/orders").await.header("allow"), Some("POST"));
        for bad in ["a%0d%0aX:%20y", "%00", "%ff", "%2e%2e"] {
            assert_eq!(asked(&format!("PUT /in/acme/items/{bad}")).await.code(), "http/bad-request", "{bad}");
        }
        for none in ["/in/acme/items/", "/in/acme/items/..", "/in/acme/items/1/lines", "/in/zeta/items/1"] {
            assert_eq!(asked(&format!("PUT {none}")).await.code(), "http/not-found", "{none}");
        }
        let seen: Vec<_> = all.borrow().iter().map(|one| String::from_utf8(one.headers.clone()).unwrap()).collect();
        let expected = [
            "Path-id: a \u{e9}\r\nPath-line-no: 7\r\nRequest-method: PUT\r\n",
            "Path-id: 1\r\nPath-line-no: 2\r\nRequest-method: DELETE\r\n",
            "Path-id: x\r\n",
        ];
        assert_eq!(seen, expected);
    });
}
