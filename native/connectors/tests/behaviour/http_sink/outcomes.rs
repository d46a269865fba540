//! What an answer means, or what it means that there is none.

use std::time::Duration;

use connectors::http::sink::{RetryMode, SinkOptions};
use connectors::{Outcome, Sink};
use harness::run;
use message::Code;
use tokio::net::TcpListener;

use super::server::{OK, Reply, Server, close, deliver, delivery, keep, options, sink, verdict};

const SOON: Duration = Duration::from_millis(100);

fn status(status: u16, headers: &str) -> Reply {
    keep(format!("HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\n\r\n"))
}

fn safe(options: SinkOptions) -> SinkOptions {
    SinkOptions { retry: RetryMode::Safe, ..options }
}

#[test]
fn a_status_decides() {
    run(async {
        for code in [200, 201, 202, 204, 299] {
            let server =
                Server::start([if code == 204 { keep("HTTP/1.1 204 X\r\n\r\n") } else { status(code, "") }]).await;
            assert_eq!(verdict(&deliver(options(&server.url("/"))).await), Ok(()), "{code}");
        }
        for (codes, expected) in [
            (&[408, 425, 429, 500, 502, 503, 504, 599][..], (Code::HttpServerError, true)),
            (&[400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 499], (Code::HttpRejected, false)),
            (&[300, 301, 302, 303, 304, 307, 308], (Code::HttpRedirect, false)),
            (&[600, 999], (Code::HttpBadResponse, true)),
        ] {
            for code in codes {
                let server = Server::start([status(*code, "location: /x\r\n")]).await;
                let outcome = deliver(options(&server.url("/"))).await;
                assert_eq!(verdict(&outcome), Err(expected), "{code}");
                assert!(format!("{outcome:?}").contains(&code.to_string()), "{outcome:?} names its status");
                assert_eq!(server.count(), 1);
            }
        }
    });
}

#[test]
fn a_server_may_ask_for_a_pause() {
    run(async {
        let in_an_hour = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600));
        for (header, after) in [
            ("retry-after: 7\r\n".to_owned(), Some(7)),
            (format!("retry-after: {in_an_hour}\r\n"), Some(300)),
            (String::new(), None),
            ("retry-after: soon\r\n".into(), None),
        ] {
            for code in [429, 503] {
                let server = Server::start([status(code, &header)]).await;
                match deliver(options(&server.url("/"))).await {
                    Outcome::Retry { after: told, .. } => assert_eq!(told, after.map(Duration::from_secs), "{header}"),
                    other => panic!("{other:?}"),
                }
            }
        }
    });
}

#[test]
fn nobody_there_is_tried_again() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let address = listener.local_addr().unwrap();
        drop(listener);
        match deliver(options(&url)).await {
            Outcome::Retry { fault, .. } => {
                assert_eq!(fault.code(), Code::HttpConnect);
                assert!(fault.reason().starts_with(&format!("no connection to {address}: ")), "{fault}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(verdict(&deliver(safe(options(&url))).await), Err((Code::HttpConnect, true)));
        let nowhere = options("http://no-such-host.invalid/");
        assert_eq!(verdict(&deliver(nowhere).await), Err((Code::HttpConnect, true)));
    });
}

#[test]
fn a_server_that_hangs_is_given_up() {
    run(async {
        for part in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
            let server = Server::start([if part.is_empty() { Reply::Hang } else { keep(part) }]).await;
            let options = SinkOptions { timeout: SOON, ..options(&server.url("/")) };
            assert_eq!(verdict(&deliver(options.clone()).await), Err((Code::HttpTimeout, true)), "{part}");
            assert_eq!(verdict(&deliver(safe(options)).await), Err((Code::HttpAmbiguous, false)), "{part}");
        }
    });
}

#[test]
fn a_broken_answer_is_in_doubt() {
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = "x".repeat(200_000);
    let cases = [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-le".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".into(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel".into(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".into(),
        "HTTP/1.1 abc\r\n\r\n".into(),
        "SSH-2.0-OpenSSH_9.6\r\n".into(),
        "\x15\x03\x01\x00\x02\x02".into(),
        format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {long}\r\ncontent-length: 0\r\n\r\n"),
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".into(),
    ];
    run(async {
        for answer in cases {
            let server = Server::start([close(answer.clone())]).await;
            let options = options(&server.url("/"));
            let shown = &answer[..answer.len().min(60)];
            assert_eq!(verdict(&deliver(options.clone()).await), Err((Code::HttpBadResponse, true)), "{shown:?}");
            assert_eq!(verdict(&deliver(safe(options)).await), Err((Code::HttpAmbiguous, false)), "{shown:?}");
            assert_eq!(server.count(), 2, "nothing is repeated behind the host's back: {shown:?}");
        }
    });
}

#[test]
fn a_refusal_counts_even_when_its_body_breaks_off() {
    run(async {
        for (code, expected) in [(404, (Code::HttpRejected, false)), (503, (Code::HttpServerError, true))] {
            let server = Server::start([close(format!("HTTP/1.1 {code} X\r\ncontent-length: 10\r\n\r\nhalf"))]).await;
            assert_eq!(verdict(&deliver(safe(options(&server.url("/")))).await), Err(expected));
        }
    });
}

#[test]
fn a_long_answer_is_not_read_to_its_end() {
    run(async {
        let server = Server::start([keep(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n{}",
            "x".repeat(1 << 20)
        ))])
        .await;
        let sink = sink(options(&server.url("/")));
        for _ in 0..2 {
            assert_eq!(verdict(&sink.write_batch(&[delivery("1", None)]).await[0]), Ok(()));
        }
        assert_eq!(*server.connections.borrow(), 2);
    });
}

#[test]
fn one_bad_server_answer_spoils_no_other_delivery() {
    run(async {
        let server = Server::start([close("garbage"), keep(OK)]).await;
        let sink = sink(SinkOptions { concurrency: 1, ..options(&server.url("/")) });
        let batch: Vec<_> = (0..4).map(|n| delivery(&n.to_string(), None)).collect();
        let verdicts: Vec<_> = sink.write_batch(&batch).await.iter().map(verdict).collect();
        assert_eq!(verdicts, [Err((Code::HttpBadResponse, true)), Ok(()), Ok(()), Ok(())]);
    });
}

#[test]
fn an_informational_answer_is_passed_over() {
    run(async {
        let server = Server::start([keep(format!("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{OK}"))]).await;
        assert_eq!(verdict(&deliver(options(&server.url("/"))).await), Ok(()));
    });
}
