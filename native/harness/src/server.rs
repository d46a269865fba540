//! A real nats-server of the test's own, on a free port, with a folder that goes with it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::Folder;

pub struct Server {
    child: Child,
    folder: Folder,
    config: String,
    pub port: u16,
}

impl Server {
    /// With JetStream.
    pub fn start() -> Server {
        Server::with_config("")
    }

    /// With JetStream, and `config` in the server's own syntax.
    pub fn with_config(config: &str) -> Server {
        let folder = Folder::new();
        let (child, port) = launch(folder.path(), config, None);
        Server { child, folder, config: config.into(), port }
    }

    /// Takes payloads as large as the embedded server of `vrsky run` does.
    pub fn with_large_payloads() -> Server {
        Server::with_config("max_payload: 8388608")
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Of this server alone; a test may keep files of its own in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new server on the same port and store, after [`Server::kill`].
    pub fn restart(&mut self) {
        (self.child, _) = launch(self.folder.path(), &self.config, Some(self.port));
    }

    /// Has the running server take another `config`, as SIGHUP does: connections stay. It takes it some time later.
    pub fn reload(&mut self, config: &str) {
        config.clone_into(&mut self.config);
        write_config(self.folder.path(), config, Some(self.port));
        self.signal("-HUP");
    }

    /// Has it take no more connections, tell clients so, and end some time later.
    pub fn enter_lame_duck_mode(&mut self) {
        self.signal("-USR2");
    }

    fn signal(&self, signal: &str) {
        let signalled = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
    }

    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path, config: &str, port: Option<u16>) -> (Child, u16) {
    let file = write_config(folder, config, port);
    let mut child = Command::new(binary()).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let port = read_port(&mut log);
    // A full pipe would stop the server.
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    (child, port)
}

/// A new file in place of the old one: a server that reads it finds the whole of one of them.
fn write_config(folder: &Path, config: &str, port: Option<u16>) -> PathBuf {
    let listen = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    let (file, new, store) = (folder.join("server.conf"), folder.join("server.new"), folder.join("store"));
    let text = format!("listen: \"127.0.0.1:{listen}\"\njetstream {{ store_dir: {store:?} }}\n{config}\n");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &file).unwrap();
    file
}

/// The port of the server's log, read until the server is ready.
fn read_port(log: &mut BufReader<ChildStderr>) -> u16 {
    let (mut port, mut read) = (None, String::new());
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "nats-server did not start:\n{read}");
        if let Some((_, address)) = line.trim_end().split_once("Listening for client connections on ") {
            port = address.rsplit(':').next().and_then(|port| port.parse().ok());
        }
        if line.contains("Server is ready") {
            return port.expect("the server logs its address before it is ready");
        }
        read += &line;
    }
}

/// `NATS_SERVER`, or the one that the project's environment installs.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "NATS_SERVER is {path:?}, which is no file");
        return path;
    }
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/nats-server");
    assert!(
        installed.is_file(),
        "these tests need nats-server: set NATS_SERVER to its path, or run `make test-rust`, which installs it"
    );
    installed
}
