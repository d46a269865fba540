//! Brokers that refuse: each reason is a code that says what to do.

use std::process::Command;
use std::time::Duration;

use connectors::Source;
use connectors::http::AddressPolicy;
use connectors::mqtt::{Broker, MqttSource, Qos, Version};
use harness::{Folder, Mosquitto, run};
use message::Code;

use super::host::{VERSIONS, at, loopback, options, read, source, texts};

async fn refused(broker: Broker) -> Code {
    let source = MqttSource::new(options(broker, Qos::AtLeastOnce), &loopback()).unwrap();
    source.connect().await.unwrap_err().code()
}

/// Knows the user `acme` with the password `secret`, who may read `orders/#` when the list says so.
fn guarded(folder: &Folder, list: &str) -> Mosquitto {
    let (passwords, access) = (folder.path().join("passwords"), folder.path().join("access"));
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["acme", "secret"]).status();
    assert!(made.unwrap().success());
    std::fs::write(&access, list).unwrap();
    Mosquitto::with_config(&format!("password_file {}\nacl_file {}", passwords.display(), access.display()))
}

#[test]
fn user_and_password_let_in_and_nothing_else_does() {
    run(async {
        let folder = Folder::new();
        let broker = guarded(&folder, "user acme\ntopic readwrite orders/#\n");
        for version in VERSIONS {
            let with = |user: Option<&str>, password: &str| Broker {
                user: user.map(Into::into),
                password: user.map(|_| password.into()),
                ..at(&broker, version)
            };
            let source = source(options(with(Some("acme"), "secret"), Qos::AtLeastOnce)).await;
            broker.publish(&["-t", "orders/1", "-q", "1", "-u", "acme", "-P", "secret"], "one\n");
            assert_eq!(texts(&read(&source, 1).await), ["one"]);
            let wrong = refused(with(Some("acme"), "wrong")).await;
            let nobody = refused(with(None, "")).await;
            for code in [wrong, nobody] {
                assert!([Code::MqttUnauthorized, Code::MqttForbidden].contains(&code), "{version:?} {code}");
            }
            super::host::close(source).await;
        }
    });
}

#[test]
fn an_address_that_is_not_public_is_not_dialled() {
    run(async {
        let broker = Mosquitto::start();
        for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"] {
            let options = options(Broker::at(host, broker.port), Qos::AtLeastOnce);
            let source = MqttSource::new(options, &AddressPolicy::default()).unwrap();
            assert_eq!(source.connect().await.unwrap_err().code(), Code::MqttRefusedAddress, "{host}");
        }
        // Nor is the node itself.
        let own = Some(format!("127.0.0.1:{}", broker.port).parse().unwrap());
        let policy = AddressPolicy { own, ..loopback() };
        let source = MqttSource::new(options(at(&broker, Version::V5), Qos::AtLeastOnce), &policy).unwrap();
        assert_eq!(source.connect().await.unwrap_err().code(), Code::MqttRefusedAddress);
    });
}

#[test]
fn nobody_who_answers_is_a_broker_that_cannot_be_reached() {
    run(async {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(refused(Broker::at("127.0.0.1", port)).await, Code::MqttConnect);
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let broker = Broker { connect_timeout: Duration::from_millis(50), ..Broker::at("127.0.0.1", port) };
        assert_eq!(refused(broker).await, Code::MqttTimeout);
    });
}
