//! The smallest program on this crate: everything from one subject to another, with one header more.
//!
//! ```text
//! cargo run --release -p nats --example relay -- nats://127.0.0.1:4222 in out
//! ```

use message::Fault;
use nats::protocol::{encode_hpub, encode_sub};
use nats::{Connection, Handler, Message, Options, Pace, ServerInfo};

struct Relay {
    from: String,
    to: String,
    headers: Vec<u8>,
    handled: u32,
}

impl Handler for Relay {
    fn on_connected(&mut self, _: &ServerInfo, out: &mut Vec<u8>) {
        encode_sub(out, self.from.as_bytes(), b"", 1);
        println!("ready");
    }

    fn on_message(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Pace {
        self.headers.clear();
        match message.headers.strip_suffix(b"\r\n") {
            Some(lines) => self.headers.extend_from_slice(lines),
            None => self.headers.extend_from_slice(b"NATS/1.0\r\n"),
        }
        self.headers.extend_from_slice(b"Customer-ID: acme\r\n\r\n");
        encode_hpub(out, self.to.as_bytes(), b"", &self.headers, message.payload);
        self.handled += 1;
        if self.handled.is_multiple_of(64) { Pace::Yield } else { Pace::Continue }
    }

    fn on_disconnected(&mut self, fault: &Fault, dropped: usize) {
        eprintln!("{fault}; {dropped} bytes were not sent");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, from, to] = arguments.as_slice() else { return Err("usage: relay URL FROM TO".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::connect(Options::new(url)?.name("relay")).await?;
        let mut relay = Relay { from: from.clone(), to: to.clone(), headers: Vec::new(), handled: 0 };
        loop {
            connection.turn(&mut relay).await?;
        }
    })
}
