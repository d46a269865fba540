//! A real nats-server of the test's own, on a free port and a folder that goes with it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::eventually;

pub struct Server {
    child: Child,
    pub port: u16,
    folder: PathBuf,
}

const CONFIG: &str = "server.conf";

fn binary() -> String {
    std::env::var("NATS_SERVER").expect("NATS_SERVER has to name a nats-server binary; `make test` sets it")
}

impl Server {
    pub fn start() -> Server {
        Server::start_in(Server::new_folder(), None)
    }

    /// One that takes as large payloads as the embedded server does.
    pub fn with_large_payloads() -> Server {
        let folder = Server::new_folder();
        std::fs::write(folder.join(CONFIG), "max_payload: 8388608\n").unwrap();
        Server::start_in(folder, None)
    }

    fn new_folder() -> PathBuf {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("vrsky-engine-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn start_in(folder: PathBuf, port: Option<u16>) -> Server {
        let asked = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let ports = folder.join("ports");
        let _ = std::fs::remove_dir_all(&ports);
        std::fs::create_dir_all(&ports).unwrap();
        let mut command = Command::new(binary());
        if folder.join(CONFIG).exists() {
            command.arg("-c").arg(folder.join(CONFIG));
        }
        let child = command
            .args(["-a", "127.0.0.1", "-p", &asked, "-js", "-sd"])
            .arg(folder.join("store"))
            .arg("--ports_file_dir")
            .arg(&ports)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = eventually("the server's port", || read_port(&ports));
        eventually("a connection", || TcpStream::connect(("127.0.0.1", port)).ok());
        Server { child, port, folder }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kill -9`, then a new server on the same port and store.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let next = Server::start_in(self.folder.clone(), Some(self.port));
        let mut old = std::mem::replace(self, next);
        old.folder = PathBuf::new();
    }
}

fn read_port(folder: &Path) -> Option<u16> {
    let entry = std::fs::read_dir(folder).ok()?.next()?.ok()?;
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(entry.path()).ok()?).ok()?;
    json["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.folder.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
