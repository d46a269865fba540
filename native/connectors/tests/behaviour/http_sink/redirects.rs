//! Redirects: not followed, unless the out asks; then with care.

use connectors::http::sink::SinkOptions;
use harness::run;
use message::Code;

use super::server::{OK, Reply, Server, deliver, keep, options, verdict};

fn to(status: u16, location: &str) -> Reply {
    keep(format!("HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"))
}

fn with_secrets(url: &str, redirects: u32) -> SinkOptions {
    SinkOptions {
        redirects,
        authorization: Some("Bearer s3cret".into()),
        headers: vec![("X-Api-Key".into(), "k".into())],
        ..options(url)
    }
}

#[test]
fn the_message_goes_on_as_it_is() {
    run(async {
        for status in [301, 302, 307, 308] {
            let server = Server::start([to(status, "../new/./a?b=c#part"), keep(OK)]).await;
            assert_eq!(verdict(&deliver(with_secrets(&server.url("/old/x/y"), 1)).await), Ok(()), "{status}");
            assert!(server.head(1).starts_with("post /old/new/a?b=c http/1.1"), "{}", server.head(1));
            assert!(
                server.head(1).contains("authorization: bearer s3cret")
                    && server.head(1).contains("idempotency-key: 1")
            );
            assert_eq!(server.requests.borrow()[1].1, b"{\"a\":1}");
        }
    });
}

#[test]
fn a_303_leads_to_a_get_without_the_message() {
    run(async {
        let server = Server::start([to(303, "/done"), to(307, "/there"), keep(OK)]).await;
        assert_eq!(verdict(&deliver(with_secrets(&server.url("/orders"), 2)).await), Ok(()));
        for (number, path) in [(1, "/done"), (2, "/there")] {
            let head = server.head(number);
            assert!(head.starts_with(&format!("get {path} http/1.1")), "{head}");
            assert!(!head.contains("content-") && !head.contains("idempotency-key"), "{head}");
            assert!(head.contains("x-api-key: k"), "{head}");
            assert!(server.requests.borrow()[number].1.is_empty());
        }
        let server = Server::start([to(303, "/done")]).await;
        assert_eq!(verdict(&deliver(with_secrets(&server.url("/orders"), 0)).await), Err((Code::HttpRedirect, false)));
    });
}

#[test]
fn secrets_stay_with_their_origin() {
    run(async {
        let other = Server::start([keep(OK)]).await;
        let server = Server::start([to(307, &other.url("/there"))]).await;
        assert_eq!(verdict(&deliver(with_secrets(&server.url("/"), 1)).await), Ok(()));
        let head = other.head(0);
        assert!(
            head.contains("idempotency-key: 1") && !head.contains("authorization") && !head.contains("x-api-key"),
            "{head}"
        );
        assert!(head.contains(&format!("host: {}", other.address)));
    });
}

#[test]
fn secrets_are_there_again_when_it_leads_back() {
    run(async {
        let away = Server::start([]).await;
        let home = Server::start([to(307, &away.url("/there")), keep(OK)]).await;
        away.replies.borrow_mut().push(to(307, &home.url("/back")));
        assert_eq!(verdict(&deliver(with_secrets(&home.url("/"), 2)).await), Ok(()));
        assert!(!away.head(0).contains("authorization"));
        assert!(home.head(1).starts_with("post /back ") && home.head(1).contains("authorization"));
    });
}

#[test]
fn a_loop_ends() {
    run(async {
        let server = Server::start([to(307, "/again")]).await;
        assert_eq!(verdict(&deliver(with_secrets(&server.url("/"), 3)).await), Err((Code::HttpRedirect, false)));
        assert_eq!(server.count(), 4);
    });
}

#[test]
fn what_cannot_be_followed_is_refused() {
    run(async {
        for (status, location) in [
            (300, "/x"),
            (304, "/x"),
            (307, "ftp://a/x"),
            (307, "mailto:a@b"),
            (307, "http://u:p@127.0.0.1/"),
            (307, "http://"),
            (307, "http:///x"),
            (307, "/a b"),
            (307, "javascript:x"),
            (307, "//"),
            (307, "http://[::1/"),
        ] {
            let server = Server::start([to(status, location), keep(OK)]).await;
            assert_eq!(
                verdict(&deliver(with_secrets(&server.url("/"), 5)).await),
                Err((Code::HttpRedirect, false)),
                "{status} {location}"
            );
            assert_eq!(server.count(), 1);
        }
        let silent = Server::start([keep("HTTP/1.1 307 X\r\ncontent-length: 0\r\n\r\n")]).await;
        assert_eq!(verdict(&deliver(with_secrets(&silent.url("/"), 5)).await), Err((Code::HttpRedirect, false)));
    });
}

#[test]
fn each_hop_is_checked_by_address() {
    run(async {
        for location in [
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.1/",
            "http://[::ffff:127.0.0.1]/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://0/",
        ] {
            let server = Server::start([to(307, location)]).await;
            assert_eq!(
                verdict(&deliver(with_secrets(&server.url("/"), 5)).await),
                Err((Code::HttpRefusedAddress, false)),
                "{location}"
            );
        }
        let port = Server::start([to(307, "http://127.0.0.1:99999/")]).await;
        assert_eq!(verdict(&deliver(with_secrets(&port.url("/"), 5)).await), Err((Code::HttpBadUrl, false)));
    });
}
