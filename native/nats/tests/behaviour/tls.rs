//! TLS against a real server: who is believed, who is let in, what is said when it fails, and that
//! messages pass as they do without it.

use std::fs;

use harness::{Certificates, Server, run};
use message::{Code, Fault};
use nats::{Connection, Options, TlsOptions};

use crate::client::{Client, Event, echoes_with_turns_dropped};

fn options(server: &Server, tls: TlsOptions) -> Options {
    Options::new(&server.url()).unwrap().tls(tls)
}

async fn refused(options: Options) -> Fault {
    Connection::connect(options).await.err().unwrap()
}

async fn echoes(client: &mut Client, payload: &[u8]) {
    client.publish("a", "", b"", payload);
    assert!(client.message().await.payload == payload);
}

#[test]
fn large_and_small_messages_pass_both_ways() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&format!("max_payload: 8MB\n{}", certificates.server("")));
        let mut client = Client::with(options(&server, certificates.client()), &["a"]).await;
        assert_eq!(client.outbox.max_payload(), 8 << 20);
        let large: Vec<u8> = (0..8_000_000_u32).map(|i| (i % 253) as u8).collect();
        for payload in [&b"hello"[..], b"", &large, &large[..65_537], b"\r\nMSG x 1 1\r\n\0"] {
            echoes(&mut client, payload).await;
        }
        client.api("INFO", "").await;
    });
}

#[test]
fn a_flood_both_ways_comes_through_whole_and_in_order() {
    const COUNT: u32 = 4_000;
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&certificates.server(""));
        let mut client = Client::with(options(&server, certificates.client()), &["loop"]).await;
        client.publish_numbered(b"loop", COUNT);
        client.receives_numbered(COUNT).await;
    });
}

#[test]
fn a_turn_may_be_dropped_at_any_await() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&certificates.server(""));
        let connection = Connection::connect(options(&server, certificates.client())).await.unwrap();
        let payload = |number: usize| number.to_string().repeat(1 + number % 700).into_bytes();
        echoes_with_turns_dropped(connection, 3_000, 200_000, payload).await;
    });
}

#[test]
fn a_server_that_wants_tls_gets_it_without_being_asked() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&certificates.server(""));
        // The system's authorities do not know this one, and there is no way round TLS.
        let fault = refused(options(&server, TlsOptions::default())).await;
        assert_eq!(fault.code(), Code::NatsTlsUnknownCa, "{fault}");
    });
}

#[test]
fn a_server_that_offers_tls_is_used_as_it_was_asked_for() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&format!("allow_non_tls: true\n{}", certificates.server("")));
        let mut plain = Client::with(options(&server, TlsOptions::default()), &["a"]).await;
        echoes(&mut plain, b"plain").await;
        let mut secured = Client::with(options(&server, certificates.client()), &["a"]).await;
        echoes(&mut secured, b"secured").await;
        let required = TlsOptions { required: true, ..TlsOptions::default() };
        assert_eq!(refused(options(&server, required)).await.code(), Code::NatsTlsUnknownCa);
    });
}

#[test]
fn only_a_known_authority_is_believed_and_only_for_the_name_and_in_time() {
    run(async {
        let certificates = Certificates::new(&["localhost", "127.0.0.1"]);
        let others = Certificates::new(&[]);
        let server = Server::with_config(&certificates.server(""));
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("tls://{host}:{}", server.port);
            Client::with(Options::new(&url).unwrap().tls(certificates.client()), &[]).await;
        }
        let fault = refused(options(&server, others.client())).await;
        assert_eq!(fault.code(), Code::NatsTlsUnknownCa, "{fault}");
        assert!(fault.reason().starts_with(&format!("127.0.0.1:{}: ", server.port)), "{fault}");

        certificates.issue("server", &["other.example"]);
        let server = Server::with_config(&certificates.server(""));
        let fault = refused(options(&server, certificates.client())).await;
        assert_eq!(fault.code(), Code::NatsTlsWrongName, "{fault}");
        assert!(fault.reason().contains("other.example"), "{fault}");

        certificates.issue_expired("server", &["127.0.0.1"]);
        let server = Server::with_config(&certificates.server(""));
        let fault = refused(options(&server, certificates.client())).await;
        assert_eq!(fault.code(), Code::NatsTlsExpired, "{fault}");
    });
}

#[test]
fn a_server_that_wants_a_certificate_of_the_client_lets_in_who_has_one() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        certificates.issue("client", &[]);
        let others = Certificates::new(&[]);
        others.issue("client", &[]);
        let server = Server::with_config(&certificates.server("verify: true"));
        let mut client = Client::with(options(&server, certificates.client_with("client")), &["a"]).await;
        echoes(&mut client, b"hello").await;
        let strangers = TlsOptions { ca: Some(certificates.file("ca")), ..others.client_with("client") };
        for tls in [certificates.client(), strangers] {
            let fault = refused(options(&server, tls)).await;
            assert_eq!(fault.code(), Code::NatsTlsClientCertificate, "{fault}");
        }
    });
}

#[test]
fn a_server_without_tls_is_no_answer_to_who_wants_it() {
    run(async {
        let certificates = Certificates::new(&[]);
        let server = Server::with_config("");
        let tls = server.url().replace("nats://", "tls://");
        assert_eq!(refused(Options::new(&tls).unwrap()).await.code(), Code::NatsTlsMissing);
        assert_eq!(refused(options(&server, certificates.client())).await.code(), Code::NatsTlsMissing);
        let first = TlsOptions { first: true, ..certificates.client() };
        assert_eq!(refused(options(&server, first)).await.code(), Code::NatsTlsMissing);
    });
}

#[test]
fn a_server_that_wants_tls_before_anything_else_gets_it_when_it_is_said() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let server = Server::with_config(&certificates.server("handshake_first: true, timeout: 0.1"));
        let first = TlsOptions { first: true, ..certificates.client() };
        let mut client = Client::with(options(&server, first), &["a"]).await;
        echoes(&mut client, b"hello").await;
        let fault = refused(options(&server, certificates.client())).await;
        assert_eq!(fault.code(), Code::NatsConnect, "{fault}");
        assert!(fault.reason().contains("handshake_first"), "{fault}");
    });
}

#[test]
fn a_server_with_a_bad_certificate_is_tried_until_it_has_a_good_one() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let mut server = Server::with_config(&certificates.server(""));
        let mut options = options(&server, certificates.client());
        options.reconnect_max = options.reconnect_min;
        let mut client = Client::with(options, &["a"]).await;
        echoes(&mut client, b"before").await;
        for (expired, code) in [(true, Code::NatsTlsExpired), (false, Code::NatsTlsWrongName)] {
            if expired {
                certificates.issue_expired("server", &["127.0.0.1"]);
            } else {
                certificates.issue("server", &["other.example"]);
            }
            server.kill();
            server.restart();
            failed_with(&mut client, code).await;
        }
        certificates.issue("server", &["127.0.0.1"]);
        server.kill();
        server.restart();
        client.connected().await;
        echoes(&mut client, b"after").await;
    });
}

async fn failed_with(client: &mut Client, wanted: Code) {
    while !matches!(client.next().await, Event::ReconnectFailed(_, code) if code == wanted) {}
}

#[test]
fn renewed_files_are_taken_up_by_the_next_connection() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        let mut server = Server::with_config(&certificates.server(""));
        let mut client = Client::with(options(&server, certificates.client()), &["a"]).await;
        let renewed = Certificates::new(&["127.0.0.1"]);
        for file in ["ca", "server", "server-key"] {
            fs::copy(renewed.file(file), certificates.file(file)).unwrap();
        }
        server.kill();
        server.restart();
        client.connected().await;
        echoes(&mut client, b"after").await;
    });
}

#[test]
fn files_that_cannot_be_used_are_named_and_never_quoted() {
    run(async {
        let certificates = Certificates::new(&["127.0.0.1"]);
        certificates.issue("client", &[]);
        let server = Server::with_config(&certificates.server(""));
        let file = |name: &str, text: &str| {
            let path = certificates.folder().join(name);
            fs::write(&path, text).unwrap();
            Some(path)
        };
        let good = certificates.client_with("client");
        let key = fs::read_to_string(certificates.file("client-key")).unwrap();
        let body = key.lines().nth(1).unwrap();
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let broken = format!("-----BEGIN PRIVATE KEY-----\n*{body}\n-----END PRIVATE KEY-----\n");
        let cases = [
            ("missing.pem", TlsOptions { ca: Some(certificates.file("missing")), ..good.clone() }),
            ("empty.pem", TlsOptions { ca: file("empty.pem", ""), ..good.clone() }),
            ("text.pem", TlsOptions { cert: file("text.pem", body), ..good.clone() }),
            ("encrypted.pem", TlsOptions { key: file("encrypted.pem", &encrypted), ..good.clone() }),
            ("broken.pem", TlsOptions { key: file("broken.pem", &broken), ..good.clone() }),
            ("server-key.pem", TlsOptions { key: Some(certificates.file("server-key")), ..good.clone() }),
            ("together", TlsOptions { key: None, ..good.clone() }),
        ];
        for (word, tls) in cases {
            let fault = refused(options(&server, tls)).await;
            assert_eq!(fault.code(), Code::ConfigInvalidValue, "{fault}");
            assert!(fault.reason().contains(word), "{fault}");
            assert!(!fault.reason().contains(body), "{word}");
        }
        Client::with(options(&server, good), &[]).await;
    });
}
