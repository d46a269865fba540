//! A source with a host behind it, and a sender that speaks in raw bytes.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use connectors::http::source::{
    Accept, Auth, HttpSource, Route, RoutedSource as _, Routes, SourceOptions, Token, listen,
};
use connectors::{ConnectorError, Incoming, Settled, Source};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const LONG: Duration = Duration::from_secs(60);
pub const MAX_BODY: usize = 1000;

/// Waits for what another task is about to do.
pub async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

pub fn routes() -> Routes {
    let route = |binding, auth| Route { auth, ..Route::open(binding, MAX_BODY) };
    let mut routes = Routes::new();
    routes.insert("acme", "/orders", route(7, Auth::None)).unwrap();
    routes.insert("acme", "/guarded", route(8, Auth::bearer(Token::new("s3cret").unwrap()))).unwrap();
    routes.insert("acme", "/local", route(9, Auth::LoopbackOnly)).unwrap();
    routes.insert("acme", "/xml", Route { accept: Accept::XML, ..route(10, Auth::None) }).unwrap();
    routes
}

/// With the routes above; nobody settles yet.
pub async fn source(options: SourceOptions) -> Rc<HttpSource> {
    let listener = listen("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let source = HttpSource::new(vec![listener], options).unwrap();
    *source.routes() = routes();
    source.connect().await.unwrap();
    Rc::new(source)
}

pub async fn next(source: &HttpSource) -> Incoming {
    let mut batch = source.read_batch(1, usize::MAX, LONG).await.unwrap();
    batch.pop().expect("a message within a minute")
}

pub fn stored(id: &str) -> Settled {
    Settled::Stored { id: id.into() }
}

/// Stores everything under `id-<n>` and keeps it.
pub fn store_all(source: &Rc<HttpSource>) -> Rc<RefCell<Vec<Incoming>>> {
    let all = Rc::new(RefCell::new(Vec::new()));
    let (kept, source) = (Rc::clone(&all), Rc::clone(source));
    tokio::task::spawn_local(async move {
        loop {
            match source.read_batch(64, 1 << 20, LONG).await {
                Ok(batch) => {
                    for incoming in batch {
                        source.settle(incoming.item, stored(&format!("id-{}", kept.borrow().len())));
                        kept.borrow_mut().push(incoming);
                    }
                }
                Err(ConnectorError::EndOfInput) => return,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    all
}

/// What stands on the wire, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["status"], self.status);
        for member in ["type", "title", "detail", "code", "instance"] {
            assert!(document[member].is_string(), "{member} is missing in {document}");
        }
        document
    }

    pub fn code(&self) -> String {
        self.problem()["code"].as_str().unwrap().to_owned()
    }
}

pub struct Sender(pub TcpStream);

impl Sender {
    pub async fn connect(address: SocketAddr) -> Sender {
        Sender(TcpStream::connect(address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer; 100 is passed over.
    pub async fn answer(&mut self) -> Answer {
        loop {
            let answer = self.any_answer().await;
            if answer.status != 100 {
                return answer;
            }
        }
    }

    pub async fn any_answer(&mut self) -> Answer {
        let head = self.head().await.expect("an answer before the connection ends");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, length)| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        Answer { status, headers, body: String::from_utf8(body).unwrap() }
    }

    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) if head.is_empty() => return None,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// Whether the server has closed the connection, without another byte.
    pub async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }

    /// Takes back its connection; one that only ends might still wait for its answer.
    pub fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }

    pub async fn post(&mut self, path: &str, headers: &str, body: &str) -> Answer {
        self.send(post(path, headers, body)).await;
        self.answer().await
    }
}

/// `headers`: whole lines with their `\r\n`.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: here\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}
