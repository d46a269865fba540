//! The driver against servers that want NKeys or JWTs.

use std::path::PathBuf;

use harness::{Folder, Nkey, Operator, Server, run};
use message::{Code, Fault};
use nats::{Auth, Connection, Options};
use serde_json::json;

use crate::client::{Client, Event};

fn options(server: &Server, auth: Auth) -> Options {
    let mut options = Options::new(&server.url()).unwrap();
    options.auth = auth;
    options
}

async fn refused(server: &Server, auth: Auth) -> Fault {
    Connection::connect(options(server, auth)).await.err().unwrap()
}

fn file(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file
}

async fn echoes(client: &mut Client) {
    client.publish("a", "", b"NATS/1.0\r\n\r\n", b"x");
    assert_eq!(client.message().await.payload, b"x");
}

#[test]
fn a_seed_opens_the_door_for_its_user_alone() {
    run(async {
        let (user, stranger, folder) = (Nkey::user(), Nkey::user(), Folder::new());
        let server = Server::with_config(&format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public()));
        let seed = file(&folder, "user.nk", &user.seed());
        let mut client = Client::with(options(&server, Auth::Nkey(seed.clone())), &["a"]).await;
        echoes(&mut client).await;
        for auth in [Auth::Nkey(file(&folder, "stranger.nk", &stranger.seed())), Auth::None] {
            assert_eq!(refused(&server, auth).await.code(), Code::NatsAuthorization);
        }
        let fault = refused(&server, Auth::Nkey(file(&folder, "broken.nk", &user.seed()[..40]))).await;
        assert_eq!(fault.code(), Code::ConfigInvalidValue);
        assert!(fault.reason().contains("broken.nk") && !fault.reason().contains(&user.seed()[..8]), "{fault}");
        // A server that asks nobody asks for no signature.
        let open = Server::start();
        Client::with(options(&open, Auth::Nkey(seed)), &[]).await;
    });
}

#[test]
fn a_creds_file_opens_the_door_of_its_account() {
    run(async {
        let (operator, folder) = (Operator::new(), Folder::new());
        let server = Server::with_config(&operator.server());
        let creds = file(&folder, "user.creds", &operator.creds(&json!({})));
        let mut client = Client::with(options(&server, Auth::Creds(creds)), &["a"]).await;
        echoes(&mut client).await;
        let strangers = file(&folder, "stranger.creds", &Operator::new().creds(&json!({})));
        let expired = file(&folder, "expired.creds", &operator.creds(&json!({"exp": 1_700_000_000})));
        for auth in [Auth::Creds(strangers), Auth::Creds(expired), Auth::None] {
            assert_eq!(refused(&server, auth).await.code(), Code::NatsAuthorization);
        }
    });
}

#[test]
fn a_renewed_creds_file_counts_at_the_next_connect() {
    run(async {
        let (operator, folder) = (Operator::new(), Folder::new());
        let mut server = Server::with_config(&operator.server());
        let creds = file(&folder, "user.creds", &operator.creds(&json!({})));
        let mut client = Client::with(options(&server, Auth::Creds(creds.clone())), &["a"]).await;
        let expired = operator.creds(&json!({"exp": 1_700_000_000}));
        for (text, code) in [(expired.as_str(), Code::NatsAuthorization), ("nothing", Code::ConfigInvalidValue)] {
            std::fs::write(&creds, text).unwrap();
            server.kill_and_restart();
            client.disconnected().await;
            while !matches!(client.next().await, Event::ReconnectFailed(_, met) if met == code) {}
            std::fs::write(&creds, operator.creds(&json!({}))).unwrap();
            client.connected().await;
            echoes(&mut client).await;
        }
    });
}
