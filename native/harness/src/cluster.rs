//! Several real nats-servers that are one cluster, on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::{Client, Server, eventually};

/// Three servers, each of which tells clients of all three.
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    /// With JetStream.
    pub fn start() -> Cluster {
        Cluster::with_config("")
    }

    /// With JetStream, and `config` for each of them.
    pub fn with_config(config: &str) -> Cluster {
        // Held together, so that they differ. Servers without JetStream could tell each other their ports.
        let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let routes: Vec<_> = ports.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
        let routes = routes.join(", ");
        let config = |(number, port): (usize, &u16)| {
            let cluster = format!("cluster {{ name: C, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}");
            format!("server_name: n{number}\n{cluster}\nlame_duck_grace_period: \"1s\"\n{config}")
        };
        let servers: Vec<_> = ports.iter().enumerate().map(config).map(|text| Server::with_config(&text)).collect();
        for server in &servers {
            eventually("a server tells of all three", || (told(server) == servers.len()).then_some(()));
        }
        Cluster { servers }
    }

    /// Addresses of all of them, as one URL.
    pub fn url(&self) -> String {
        self.servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    /// Waits until a stream with a copy on each of them can be made. Before that nobody answers.
    pub fn await_jetstream(&self) {
        let stream = r#"{"name":"READY","subjects":["ready"],"num_replicas":3}"#;
        eventually("the cluster makes streams", || self.ask("STREAM.CREATE.READY", stream)?.get("config").map(|_| ()));
        let mut client = Client::connect(&self.servers[1]);
        client.request("$JS.API.STREAM.DELETE.READY", "");
    }

    /// Messages in a stream; `None` while it has no leader.
    pub fn count(&self, stream: &str) -> Option<u64> {
        self.ask(&format!("STREAM.INFO.{stream}"), "")?["state"]["messages"].as_u64()
    }

    /// What JetStream answers within a second, by way of the second server.
    fn ask(&self, verb: &str, payload: &str) -> Option<Value> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.servers[1].port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let request = format!("PUB $JS.API.{verb} answer {}\r\n{payload}\r\n", payload.len());
        socket.write_all(format!("CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\n{request}").as_bytes()).unwrap();
        let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
        lines.find_map(|line| serde_json::from_str(&line).ok())
    }
}

/// How many servers the INFO of this one names.
fn told(server: &Server) -> usize {
    let mut line = String::new();
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    BufReader::new(stream).read_line(&mut line).unwrap();
    let info: Value = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
    info["connect_urls"].as_array().map_or(0, Vec::len)
}
