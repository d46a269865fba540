//! https: a certificate of one's own authority is believed when it is given, and not otherwise.

use std::time::Duration;

use connectors::Sink;
use connectors::http::sink::{HttpSink, RetryMode, SinkOptions, Tls, TlsOptions, check_options};
use harness::{Certificates, run};
use message::Code;
use rcgen::KeyPair;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{OK, delivery, loopback, options, read_request, verdict};

/// Serves `OK` on localhost; returns its port, and its authority in PEM.
async fn serve(names: &[&str]) -> (u16, String) {
    let certificates = Certificates::new(names);
    (serve_by(certificates.acceptor()).await, certificates.authority())
}

async fn serve_by(acceptor: TlsAcceptor) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::task::spawn_local(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(OK.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

async fn deliver(options: SinkOptions, tls: &Tls) -> Result<(), (Code, bool)> {
    let sink = HttpSink::new(options, tls, &loopback()).unwrap();
    verdict(&sink.write_batch(&[delivery("1", None)]).await[0])
}

#[test]
fn only_a_known_authority_is_believed_and_only_for_the_name() {
    run(async {
        let (port, ca) = serve(&["localhost", "127.0.0.1"]).await;
        let tls = Tls::new(Some(ca.as_bytes())).unwrap();
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("https://{host}:{port}/");
            assert_eq!(deliver(options(&url), &tls).await, Ok(()), "{host}");
            assert_eq!(deliver(options(&url), &Tls::new(None).unwrap()).await, Err((Code::HttpConnect, true)));
        }
        let (port, ca) = serve(&["other.example"]).await;
        let tls = Tls::new(Some(ca.as_bytes())).unwrap();
        assert_eq!(deliver(options(&format!("https://localhost:{port}/")), &tls).await, Err((Code::HttpConnect, true)));
    });
}

#[test]
fn an_outs_own_authority_is_the_only_one() {
    run(async {
        let (port, ca) = serve(&["localhost"]).await;
        let (other, known) = serve(&["localhost"]).await;
        let of_node = Tls::new(Some(known.as_bytes())).unwrap();
        let url = |port| format!("https://localhost:{port}/");
        let own = |port| SinkOptions { tls: TlsOptions { ca: Some(ca.clone()), ..none() }, ..options(&url(port)) };
        assert_eq!(deliver(options(&url(other)), &of_node).await, Ok(()));
        assert_eq!(deliver(own(port), &of_node).await, Ok(()));
        assert_eq!(deliver(own(other), &of_node).await, Err((Code::HttpConnect, true)));
    });
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_the_outs() {
    run(async {
        let certificates = Certificates::new(&["localhost"]);
        certificates.issue("client", &["client"]);
        let stranger = Certificates::new(&["localhost"]);
        stranger.issue("client", &["client"]);
        let port = serve_by(certificates.acceptor_of_known()).await;
        let text = |of: &Certificates, name: &str| Some(std::fs::read_to_string(of.file(name)).unwrap());
        let with = |certificate: Option<String>, key: Option<String>| SinkOptions {
            tls: TlsOptions { ca: Some(certificates.authority()), certificate, key },
            ..options(&format!("https://localhost:{port}/"))
        };
        let known = with(text(&certificates, "client"), text(&certificates, "client-key"));
        let node = Tls::new(None).unwrap();
        assert_eq!(deliver(known, &node).await, Ok(()));
        assert!(deliver(with(None, None), &node).await.is_err());
        let strange = with(text(&stranger, "client"), text(&stranger, "client-key"));
        assert!(deliver(strange, &node).await.is_err());
        // What cannot be used refuses the out, and nothing of it is shown.
        for (certificate, key) in [
            (text(&certificates, "client"), text(&stranger, "client-key")),
            (text(&certificates, "client"), text(&certificates, "client")),
            (text(&certificates, "client-key"), text(&certificates, "client-key")),
            (Some("nonsense".into()), Some("nonsense".into())),
        ] {
            let fault = check_options(&with(certificate, key)).unwrap_err();
            assert_eq!(fault.code(), Code::ConfigInvalidValue);
            assert!(fault.reason().contains("client certificate") && !fault.reason().contains("nonsense"), "{fault:?}");
        }
    });
}

fn none() -> TlsOptions {
    TlsOptions::default()
}

#[test]
fn a_server_that_speaks_no_tls_or_nothing_is_no_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        let options =
            SinkOptions { retry: RetryMode::Safe, connect_timeout: Duration::from_millis(100), ..options(&url) };
        // Accepted by the kernel, and never answered: nothing of the message was sent.
        assert_eq!(deliver(options.clone(), &Tls::new(None).unwrap()).await, Err((Code::HttpTimeout, true)));
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let options = SinkOptions { connect_timeout: Duration::from_secs(30), ..options };
        assert_eq!(deliver(options, &Tls::new(None).unwrap()).await, Err((Code::HttpConnect, true)));
    });
}

#[test]
fn a_ca_file_has_to_have_certificates() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    for bad in [
        "",
        "nonsense",
        &key,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(Tls::new(Some(bad.as_bytes())).err().unwrap().code(), Code::ConfigInvalidValue, "{bad}");
    }
}
