//! A real MQTT broker of the test's own: Mosquitto on a free port, with a folder that goes with it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use crate::{Folder, eventually};

const TRIES: usize = 5;

pub struct Mosquitto {
    child: Child,
    folder: Folder,
    config: String,
    pub port: u16,
}

impl Mosquitto {
    /// Anybody may do anything.
    pub fn start() -> Mosquitto {
        Mosquitto::with_config("allow_anonymous true")
    }

    /// With `config` in the broker's own syntax, below a listener on 127.0.0.1.
    pub fn with_config(config: &str) -> Mosquitto {
        let folder = Folder::new();
        for _ in 0..TRIES {
            // It takes no port 0; another process may take the one that is free now.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(child) = launch(folder.path(), config, port) {
                return Mosquitto { child, folder, config: config.into(), port };
            }
        }
        panic!("mosquitto did not start with:\n{config}");
    }

    /// Of this broker alone; a test may keep files of its own in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Has it write what it holds to its disk, and waits for that.
    pub fn save(&self) {
        let file = self.folder.path().join("mosquitto.db");
        let _ = std::fs::remove_file(&file);
        let signalled = Command::new("kill").args(["-USR1", &self.child.id().to_string()]).status().unwrap();
        assert!(signalled.success());
        // It writes to another file, and renames that one.
        eventually("the broker has saved", || file.exists().then_some(()));
    }

    /// As `kill -9` does: what is not saved is lost.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A new broker on the same port and store, after [`Mosquitto::kill`].
    pub fn restart(&mut self) {
        self.child = eventually("the broker starts again", || launch(self.folder.path(), &self.config, self.port));
    }

    /// Has `mosquitto_pub` publish what stands in `lines`, each as a message.
    pub fn publish(&self, arguments: &[&str], lines: &str) {
        let mut child = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-l"])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .expect("these tests need mosquitto_pub, of Debian's mosquitto-clients");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// A `mosquitto_sub` that has subscribed; its lines are the test's to read.
    pub fn subscribe(&self, arguments: &[&str]) -> Subscriber {
        // Of itself it says that it has subscribed when the first message comes.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-d"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need mosquitto_sub, of Debian's mosquitto-clients");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        read_until(&mut lines, "Subscribed (mid");
        Subscriber { child, lines }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Subscriber {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Subscriber {
    /// The next line that is no message of the program's own.
    pub fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "mosquitto_sub has ended");
            if !line.starts_with("Client ") {
                return line.trim_end_matches('\n').to_owned();
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` when the port is taken.
fn launch(folder: &Path, config: &str, port: u16) -> Option<Child> {
    let file = folder.join("mosquitto.conf");
    let text = format!(
        "persistence true\npersistence_location {}/\nlog_dest stderr\nuser root\nlistener {port} 127.0.0.1\n{config}\n",
        folder.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(binary()).arg("-c").arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    if !is_running(&mut log) {
        child.wait().unwrap();
        return None;
    }
    // A full pipe would stop the broker.
    std::thread::spawn(move || log.read_to_end(&mut Vec::new()));
    Some(child)
}

fn is_running(log: &mut BufReader<ChildStderr>) -> bool {
    loop {
        let mut line = String::new();
        if log.read_line(&mut line).unwrap() == 0 {
            return false;
        }
        if line.trim_end().ends_with("running") {
            return true;
        }
    }
}

fn read_until(lines: &mut impl BufRead, text: &str) {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "never: {text}");
        if line.contains(text) {
            return;
        }
    }
}

/// Debian keeps it where a user's PATH does not look.
fn binary() -> PathBuf {
    let installed = PathBuf::from("/usr/sbin/mosquitto");
    if installed.is_file() { installed } else { PathBuf::from("mosquitto") }
}
