//! Addresses that no URL of a customer may lead to.

use connectors::Sink;
use connectors::http::sink::{HttpSink, Tls};
use connectors::http::{AddressPolicy, Network};
use harness::run;
use message::Code;

use super::server::{OK, Server, delivery, keep, options, verdict};

async fn deliver(url: &str, policy: AddressPolicy) -> Result<(), (Code, bool)> {
    let sink = HttpSink::new(options(url), &Tls::new(None).unwrap(), &policy).unwrap();
    verdict(&sink.write_batch(&[delivery("1", None)]).await[0])
}

#[test]
fn nothing_is_dialled_that_is_not_allowed() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let port = server.address.port();
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "0.0.0.0",
            "10.0.0.1",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let refused = deliver(&format!("http://{host}:{port}/"), AddressPolicy::default()).await;
            assert_eq!(refused, Err((Code::HttpRefusedAddress, false)), "{host}");
        }
        assert_eq!(*server.connections.borrow(), 0);
    });
}

#[test]
fn what_the_operator_allows_is_dialled() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let networks =
            AddressPolicy { allow: vec![Network::parse("127.0.0.0/8").unwrap()], ..AddressPolicy::default() };
        let loopback = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        for policy in [networks, loopback] {
            assert_eq!(deliver(&server.url("/"), policy.clone()).await, Ok(()));
            // Also when the name has another address that nobody listens on, or that is refused.
            assert_eq!(deliver(&format!("http://localhost:{}/", server.address.port()), policy).await, Ok(()));
        }
    });
}

#[test]
fn a_connect_and_a_check_dial_what_is_allowed_and_send_nothing() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let reach = async |url: &str, policy: &AddressPolicy| {
            let sink = HttpSink::new(options(url), &Tls::new(None).unwrap(), policy).unwrap();
            let code = |result: Result<(), message::Fault>| result.map_err(|fault| fault.code());
            (code(sink.check().await), code(sink.connect().await))
        };
        let loopback = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
        let url = server.url("/orders/{order.id}");
        assert_eq!(reach(&url, &loopback).await, (Ok(()), Ok(())));
        let refused = Err(Code::HttpRefusedAddress);
        assert_eq!(reach(&url, &AddressPolicy::default()).await, (refused, refused));
        let nobody = Err(Code::HttpConnect);
        assert_eq!(reach("http://127.0.0.1:1/", &loopback).await, (nobody, nobody));
        assert_eq!(reach("http://nobody.invalid/", &loopback).await, (nobody, nobody));
        assert_eq!(server.count(), 0);
    });
}

#[test]
fn an_out_never_posts_to_its_own_node_unless_the_operator_allows_it() {
    run(async {
        let server = Server::start([keep(OK)]).await;
        let own = Some(server.address);
        let home = AddressPolicy { allow_loopback: true, own, ..AddressPolicy::default() };
        let allowed = AddressPolicy { allow: vec![Network::parse("127.0.0.1").unwrap()], ..home.clone() };
        let url = server.url("/in/acme/orders");
        let post = async |policy: &AddressPolicy| {
            let sink = HttpSink::new(options(&url), &Tls::new(None).unwrap(), policy).unwrap();
            (
                sink.connect().await.map_err(|fault| fault.code()),
                verdict(&sink.write_batch(&[delivery("1", None)]).await[0]),
            )
        };
        assert_eq!(post(&home).await, (Err(Code::HttpRefusedAddress), Err((Code::HttpRefusedAddress, false))));
        assert_eq!(server.count(), 0);
        assert_eq!(post(&allowed).await, (Ok(()), Ok(())));
    });
}
