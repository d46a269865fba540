//! Tokens by the client's own credentials: asked for once, kept, replaced, and never shown.

use std::time::Duration;

use connectors::http::UrlTemplate;
use connectors::http::sink::{HttpSink, OauthOptions, OauthStyle, SinkOptions, Tls, check_options};
use connectors::http::{AddressPolicy, Network};
use connectors::{Outcome, Sink};
use harness::run;
use message::Code;

use super::server::{OK, Reply, Server, close, delivery, keep, options, sink, verdict};

fn oauth(token_url: &str) -> OauthOptions {
    OauthOptions {
        token_url: UrlTemplate::parse(token_url).unwrap(),
        client_id: "client".into(),
        client_secret: "s3cret".into(),
        scopes: Vec::new(),
        audience: None,
        style: OauthStyle::Basic,
    }
}

fn with_tokens(api: &Server, tokens: &Server) -> SinkOptions {
    SinkOptions { oauth: Some(oauth(&tokens.url("/token"))), ..options(&api.url("/")) }
}

fn token(token: &str, more: &str) -> Reply {
    json(200, &format!("{{\"access_token\":\"{token}\",\"token_type\":\"Bearer\"{more}}}"))
}

fn json(status: u16, body: &str) -> Reply {
    keep(format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn status(code: u16) -> Reply {
    keep(format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\n\r\n"))
}

async fn post(sink: &HttpSink) -> Result<(), (Code, bool)> {
    verdict(&sink.write_batch(&[delivery("1", None)]).await[0])
}

/// The token of each request.
fn tokens_of(api: &Server) -> Vec<String> {
    let bearer = |(head, _): &(String, Vec<u8>)| {
        head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ").map(str::to_owned)).unwrap_or_default()
    };
    api.requests.borrow().iter().map(bearer).collect()
}

#[test]
fn a_token_is_asked_for_by_header_or_by_form() {
    run(async {
        for (style, authorization, form) in [
            (
                OauthStyle::Basic,
                // The encoded id and secret: RFC 6749, 2.3.1.
                Some("Basic Y2xpZW50JTQwYTpzJTI1KyVDMyVBNA=="),
                "grant_type=client_credentials&scope=orders.write+a%26b&audience=https%3A%2F%2Fapi.example%2F",
            ),
            (
                OauthStyle::Body,
                None,
                "grant_type=client_credentials&scope=orders.write+a%26b&audience=https%3A%2F%2Fapi.example%2F\
                 &client_id=client%40a&client_secret=s%25+%C3%A4",
            ),
        ] {
            let (api, tokens) = (Server::start([keep(OK)]).await, Server::start([token("t1", "")]).await);
            let oauth = OauthOptions {
                client_id: "client@a".into(),
                client_secret: "s% ä".into(),
                scopes: vec!["orders.write".into(), "a&b".into()],
                audience: Some("https://api.example/".into()),
                style,
                ..oauth(&tokens.url("/token?tenant=7"))
            };
            assert_eq!(post(&sink(SinkOptions { oauth: Some(oauth), ..options(&api.url("/")) })).await, Ok(()));
            let (head, body) = tokens.requests.borrow()[0].clone();
            assert!(head.starts_with("POST /token?tenant=7 HTTP/1.1\r\n"), "{head}");
            let value = head.lines().find_map(|line| line.strip_prefix("authorization: "));
            assert_eq!((value, std::str::from_utf8(&body).unwrap()), (authorization, form));
            assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
            assert_eq!(tokens_of(&api), ["t1"]);
        }
    });
}

#[test]
fn many_at_once_ask_once_and_keep_the_token() {
    run(async {
        let (api, tokens) =
            (Server::start([keep(OK)]).await, Server::start([token("t1", ",\"expires_in\":3600")]).await);
        let sink = sink(with_tokens(&api, &tokens));
        let batch: Vec<_> = (0..100).map(|id| delivery(&id.to_string(), None)).collect();
        for _ in 0..2 {
            assert!(sink.write_batch(&batch).await.iter().all(|outcome| verdict(outcome).is_ok()));
        }
        assert_eq!((tokens.count(), api.count()), (1, 200));
        assert!(tokens_of(&api).iter().all(|token| token == "t1"));
    });
}

#[test]
fn a_token_that_is_over_is_replaced_and_one_without_life_is_used_once() {
    run(async {
        let api = Server::start([keep(OK)]).await;
        let tokens = Server::start([token("t1", ",\"expires_in\":0"), token("t2", ",\"expires_in\":\"3600\"")]).await;
        let sink = sink(with_tokens(&api, &tokens));
        for _ in 0..3 {
            assert_eq!(post(&sink).await, Ok(()));
        }
        assert_eq!((tokens_of(&api), tokens.count()), (vec!["t1".into(), "t2".into(), "t2".into()], 2));
    });
}

#[test]
fn a_refused_token_is_replaced_once_for_all_who_had_it() {
    run(async {
        let tokens = Server::start([token("t1", ""), token("t2", "")]).await;
        let mut answers = vec![status(401); 16];
        answers.push(keep(OK));
        let api = Server::start(answers).await;
        let sink = sink(with_tokens(&api, &tokens));
        let batch: Vec<_> = (0..16).map(|id| delivery(&id.to_string(), None)).collect();
        assert!(sink.write_batch(&batch).await.iter().all(|outcome| verdict(outcome).is_ok()));
        assert_eq!((tokens.count(), api.count()), (2, 32));
        let with = |token: &str| tokens_of(&api).iter().filter(|known| *known == token).count();
        assert_eq!((with("t1"), with("t2")), (16, 16));
    });
}

#[test]
fn a_server_that_refuses_a_new_token_as_well_leaves_the_message_to_wait() {
    run(async {
        let (api, tokens) =
            (Server::start([status(401)]).await, Server::start([token("t1", ""), token("t2", "")]).await);
        assert_eq!(post(&sink(with_tokens(&api, &tokens))).await, Err((Code::HttpOauthTokenRejected, true)));
        assert_eq!((tokens.count(), api.count()), (2, 2));
        // Another refusal is one of the message.
        let (api, tokens) = (Server::start([status(403)]).await, Server::start([token("t1", "")]).await);
        assert_eq!(post(&sink(with_tokens(&api, &tokens))).await, Err((Code::HttpRejected, false)));
    });
}

#[test]
fn without_a_token_nothing_is_sent_and_the_message_waits() {
    run(async {
        let long = format!("{{\"access_token\":\"{}\"}}", "x".repeat(70_000));
        for (reply, code, shown) in [
            (
                json(401, "{\"error\":\"invalid_client\",\"error_description\":\"s3cret\"}"),
                Code::HttpOauthRefused,
                "invalid_client",
            ),
            (json(400, "{\"error\":\"invalid_scope\"}"), Code::HttpOauthRefused, "invalid_scope"),
            (status(404), Code::HttpOauthRefused, "404"),
            (status(429), Code::HttpOauthUnavailable, "429"),
            (status(500), Code::HttpOauthUnavailable, "500"),
            (keep("HTTP/1.1 302 X\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"), Code::HttpOauthBadAnswer, "302"),
            (json(200, "<html>s3cret</html>"), Code::HttpOauthBadAnswer, "no JSON"),
            (json(200, "{\"token\":\"s3cret\"}"), Code::HttpOauthBadAnswer, "no `access_token`"),
            (json(200, "{\"access_token\":\"a\\r\\nx: s3cret\"}"), Code::HttpOauthBadAnswer, "no header can carry"),
            (json(200, "{\"access_token\":\"s3cret\",\"token_type\":\"mac\"}"), Code::HttpOauthBadAnswer, "no bearer"),
            (json(200, &long), Code::HttpOauthBadAnswer, "64 KiB"),
            (
                close("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":"),
                Code::HttpOauthBadAnswer,
                "cut off",
            ),
            (close("garbage"), Code::HttpOauthUnavailable, "the token server"),
            (Reply::Hang, Code::HttpOauthUnavailable, "within 200 ms"),
        ] {
            let (api, tokens) = (Server::start([keep(OK)]).await, Server::start([reply]).await);
            let sink = sink(SinkOptions { timeout: Duration::from_millis(200), ..with_tokens(&api, &tokens) });
            let batch = [delivery("1", None), delivery("2", None)];
            for outcome in sink.write_batch(&batch).await {
                assert_eq!(verdict(&outcome), Err((code, true)), "{shown}");
                let text = format!("{outcome:?}");
                assert!(text.contains(shown) && !text.contains("s3cret"), "{text}");
            }
            // Both shared one answer. A client that was refused is not presented again at once; others ask.
            assert_eq!((tokens.count(), api.count()), (1, 0), "{shown}");
            assert_eq!(sink.connect().await.unwrap_err().code(), code);
            assert_eq!(tokens.count(), if code == Code::HttpOauthRefused { 1 } else { 2 });
        }
    });
}

#[test]
fn a_token_server_may_ask_for_a_pause() {
    run(async {
        let tokens = Server::start([keep("HTTP/1.1 503 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n")]).await;
        let api = Server::start([keep(OK)]).await;
        let sink = sink(with_tokens(&api, &tokens));
        match sink.write_batch(&[delivery("1", None)]).await.remove(0) {
            Outcome::Retry { after, .. } => assert_eq!(after, Some(Duration::from_secs(7))),
            other => panic!("{other:?}"),
        }
        assert_eq!(sink.connect().await.unwrap_err().code(), Code::HttpOauthUnavailable);
        assert_eq!(tokens.count(), 1);
    });
}

#[test]
fn a_token_server_is_dialled_only_where_the_operator_allows_it() {
    run(async {
        let api = Server::start([keep(OK)]).await;
        let only_api = AddressPolicy { allow: vec![Network::parse("127.0.0.1").unwrap()], ..AddressPolicy::default() };
        let to = |url: &str| SinkOptions { oauth: Some(oauth(url)), ..options(&api.url("/")) };
        let refused = HttpSink::new(to("http://169.254.169.254/token"), &Tls::new(None).unwrap(), &only_api).unwrap();
        assert_eq!(post(&refused).await, Err((Code::HttpRefusedAddress, false)));
        for reached in [refused.check().await, refused.connect().await] {
            assert_eq!(reached.unwrap_err().code(), Code::HttpRefusedAddress);
        }
        let nobody = sink(to("http://127.0.0.1:1/token"));
        assert_eq!(post(&nobody).await, Err((Code::HttpOauthUnavailable, true)));
        assert_eq!(nobody.check().await.unwrap_err().code(), Code::HttpConnect);
        assert_eq!(api.count(), 0);
    });
}

#[test]
fn a_connect_fetches_the_token_that_requests_have() {
    run(async {
        let (api, tokens) = (Server::start([keep(OK)]).await, Server::start([token("t1", "")]).await);
        let sink = sink(with_tokens(&api, &tokens));
        sink.check().await.unwrap();
        assert_eq!(tokens.count(), 0);
        sink.connect().await.unwrap();
        assert_eq!(post(&sink).await, Ok(()));
        assert_eq!((tokens.count(), tokens_of(&api)), (1, vec!["t1".into()]));
    });
}

#[test]
fn a_token_goes_to_no_other_origin() {
    run(async {
        let other = Server::start([keep(OK)]).await;
        let moved = format!("HTTP/1.1 307 X\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url("/"));
        let (api, tokens) = (Server::start([keep(moved)]).await, Server::start([token("t1", "")]).await);
        let sink = sink(SinkOptions { redirects: 1, ..with_tokens(&api, &tokens) });
        assert_eq!(post(&sink).await, Ok(()));
        assert_eq!((tokens_of(&api), tokens_of(&other)), (vec!["t1".into()], vec![String::new()]));
    });
}

#[test]
fn credentials_that_cannot_be_used_refuse_the_out_and_are_not_shown() {
    let fault = check_options(&SinkOptions { oauth: Some(oauth("http://a/{b}")), ..options("http://a/") }).unwrap_err();
    assert_eq!(fault.code(), Code::ConfigInvalidValue);
    let shown = format!("{:?}", SinkOptions { oauth: Some(oauth("http://a/")), ..options("http://a/") });
    assert!(!shown.contains("s3cret"), "{shown}");
}
