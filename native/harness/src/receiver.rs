//! An HTTP server that answers 503 until it is told to recover, or 500 to some messages for ever, and keeps what it has
//! taken.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::http::{Request, read_request};

#[derive(Default)]
struct State {
    is_well: AtomicBool,
    /// Messages below this number are answered with 500.
    refused_below: AtomicU32,
    refused: AtomicU64,
    taken: Mutex<Vec<u32>>,
}

pub struct Receiver {
    state: Arc<State>,
    port: u16,
}

impl Receiver {
    pub fn failing() -> Receiver {
        Receiver::asking_to_wait("0")
    }

    /// Works, but answers 500 to every message below this number.
    pub fn refusing_below(number: u32) -> Receiver {
        let receiver = Receiver::failing();
        receiver.state.refused_below.store(number, Ordering::SeqCst);
        receiver.recover();
        receiver
    }

    /// `retry_after` is what its 503 says.
    pub fn asking_to_wait(retry_after: &'static str) -> Receiver {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, state) = (socket.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || serve(socket, &state, retry_after));
            }
        });
        Receiver { state, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub fn recover(&self) {
        self.state.is_well.store(true, Ordering::SeqCst);
    }

    /// How many requests were answered with 503 or 500.
    pub fn refused(&self) -> u64 {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// The number at the end of the URL, else the `n`, of every message that was answered with 200, in order.
    pub fn numbers(&self) -> Vec<u32> {
        self.state.taken.lock().unwrap().clone()
    }
}

fn serve(socket: TcpStream, state: &State, retry_after: &str) -> Option<()> {
    let mut writer = socket.try_clone().ok()?;
    let mut reader = BufReader::new(socket);
    loop {
        let request = read_request(&mut reader)?;
        let status = answer(&request, state, retry_after)?;
        writer.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).ok()?;
    }
}

fn answer(request: &Request, state: &State, retry_after: &str) -> Option<String> {
    if !state.is_well.load(Ordering::SeqCst) {
        state.refused.fetch_add(1, Ordering::SeqCst);
        return Some(format!("503 Unavailable\r\nRetry-After: {retry_after}"));
    }
    let number = number(request)?;
    if number < state.refused_below.load(Ordering::SeqCst) {
        state.refused.fetch_add(1, Ordering::SeqCst);
        return Some("500 Oops".to_owned());
    }
    state.taken.lock().unwrap().push(number);
    Some("200 OK".to_owned())
}

fn number(request: &Request) -> Option<u32> {
    let target = request.line.split(' ').nth(1)?;
    let last = target.rsplit('/').next()?.parse().ok();
    let in_body = || serde_json::from_slice::<serde_json::Value>(&request.body).ok()?["n"].as_u64()?.try_into().ok();
    last.or_else(in_body)
}
