//! A real nats-server of the test's own, on a free port, with a folder of its own.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub struct Server {
    child: Child,
    folder: PathBuf,
    config: String,
    pub port: u16,
}

impl Server {
    /// `config` in the server's own syntax, besides its address and JetStream's folder.
    pub fn start(config: &str) -> Server {
        let folder = std::env::temp_dir().join(format!("nats-test-{}", nats::unique_name()));
        std::fs::create_dir_all(&folder).unwrap();
        let (child, port) = launch(&folder, config, 0);
        Server { child, folder, config: config.into(), port }
    }

    pub fn with_jetstream() -> Server {
        Server::start("")
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port and folder.
    pub fn restart(&mut self) {
        (self.child, _) = launch(&self.folder, &self.config, self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn launch(folder: &std::path::Path, config: &str, port: u16) -> (Child, u16) {
    let listen = if port == 0 { "-1".into() } else { port.to_string() };
    let file = folder.join("server.conf");
    let store = folder.join("store");
    let text = format!("listen: \"127.0.0.1:{listen}\"\njetstream {{ store_dir: {store:?} }}\n{config}\n");
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(binary()).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let mut port = port;
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "nats-server did not start:\n{said}");
        if let Some((_, address)) = line.trim_end().split_once("Listening for client connections on ") {
            port = address.rsplit(':').next().unwrap().parse().unwrap();
        }
        if line.contains("Server is ready") {
            break;
        }
        said += &line;
    }
    // A full pipe would stop the server.
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    (child, port)
}

/// `NATS_SERVER`, or the one that the project's environment installs.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "NATS_SERVER is {path:?}, which is no file");
        return path;
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = root.join(".venv/bin/nats-server");
    assert!(
        installed.is_file(),
        "these tests need nats-server: set NATS_SERVER to its path, or run `make test-rust`, which installs it"
    );
    installed
}
