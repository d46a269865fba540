//! TLS: a broker of one's own authority, which wants a certificate, too.

use connectors::Source;
use connectors::mqtt::{Broker, MqttSource, Qos};
use connectors::tls::TlsOptions;
use harness::{Certificates, Mosquitto, run};
use message::Code;

use super::host::{loopback, options, read, store, texts};

fn text(of: &Certificates, name: &str) -> Option<String> {
    Some(std::fs::read_to_string(of.file(name)).unwrap())
}

async fn connect(broker: &Mosquitto, host: &str, tls: TlsOptions) -> Result<MqttSource, Code> {
    let broker = Broker { tls: Some(tls), ..Broker::at(host, broker.port) };
    let source = MqttSource::new(options(broker, Qos::AtLeastOnce), &loopback()).unwrap();
    source.connect().await.map_err(|fault| fault.code())?;
    Ok(source)
}

#[test]
fn a_broker_and_its_client_know_each_other_by_their_certificates() {
    run(async {
        let known = Certificates::new(&["localhost"]);
        known.issue("client", &["client"]);
        let stranger = Certificates::new(&["localhost"]);
        stranger.issue("client", &["client"]);
        let file = |name: &str| known.file(name).display().to_string();
        let broker = Mosquitto::with_config(&format!(
            "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nallow_anonymous true",
            file("ca"),
            file("server"),
            file("server-key")
        ));
        let with = |of: &Certificates| TlsOptions {
            ca: Some(known.authority()),
            certificate: text(of, "client"),
            key: text(of, "client-key"),
        };
        let source = connect(&broker, "localhost", with(&known)).await.unwrap();
        let arguments = ["--cafile", &file("ca"), "--cert", &file("client"), "--key", &file("client-key")];
        let arguments = [&["-h", "localhost", "-t", "orders/1", "-q", "1"][..], &arguments].concat();
        broker.publish(&arguments, "one\n");
        let messages = read(&source, 1).await;
        assert_eq!(texts(&messages), ["one"]);
        store(&source, &messages);
        super::host::close(source).await;
        // A name that the certificate has not, an authority that is not known, and certificates of strangers.
        assert_eq!(connect(&broker, "127.0.0.1", with(&known)).await.err(), Some(Code::MqttTls));
        assert_eq!(connect(&broker, "localhost", TlsOptions::default()).await.err(), Some(Code::MqttTls));
        for tls in [with(&stranger), TlsOptions { ca: Some(known.authority()), ..TlsOptions::default() }] {
            // TLS 1.3 tells a client after its handshake that it is not let in.
            let refused = connect(&broker, "localhost", tls).await.err().unwrap();
            assert!([Code::MqttTls, Code::MqttDisconnected].contains(&refused), "{refused}");
        }
    });
}

#[test]
fn certificates_that_cannot_be_used_are_refused_before_anything_is_dialled() {
    let tls = TlsOptions { ca: Some("nonsense".into()), ..TlsOptions::default() };
    let broker = Broker { tls: Some(tls), ..Broker::at("broker.example", 8883) };
    let fault = MqttSource::new(options(broker, Qos::AtLeastOnce), &loopback()).err().unwrap();
    assert_eq!(fault.code(), Code::ConfigInvalidValue);
}
