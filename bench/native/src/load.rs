//! The load: publishes with a window, counts and checks what comes back.
//!
//! Frames are rendered before the first is sent, so that publishing is a write of many at once, and receiving is a
//! look at sizes and a checksum. The CPU that this takes is to stay below the bare relay's.
//!
//! With `--backlog` the consumer is paused until everything is stored, and the time from its resumption to
//! the last delivery counts: what relay and server can do while nobody publishes beside them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::cpu;
use crate::deliveries::{Deliveries, Expected};
use crate::frames::{BLOCK, Frame, Frames};
use crate::order::Order;
use crate::waits::{Waits, micros};
use crate::wire::{Link, is_pub_ack, publish, request};

/// A read that finds fewer messages has cost more to wake up for than to do; the next one waits for more of them. The
/// pause is short beside the time that a window takes, so that nothing waits for the load.
const FEW: usize = 100;
const PAUSE: Duration = Duration::from_millis(2);
/// How long the load looks for what should not come, after everything has.
const QUIET: Duration = Duration::from_millis(100);

/// A consumer that can be told to wait.
struct Consumer {
    server: String,
    subject: String,
}

impl Consumer {
    fn of(options: &Arguments) -> Consumer {
        let subject = format!("$JS.API.CONSUMER.PAUSE.{}.{}", options.text("stream"), options.text("durable"));
        Consumer { server: options.text("server").to_owned(), subject }
    }

    fn pause(&self, paused: bool) {
        let until = if paused { "2100-01-01T00:00:00Z" } else { "0001-01-01T00:00:00Z" };
        let answer = request(&self.server, &self.subject, &format!("{{\"pause_until\":\"{until}\"}}"));
        assert!(answer.contains(&format!("\"paused\":{paused}")), "{answer}");
    }
}

/// One run.
struct Load {
    link: Link,
    frames: Frames,
    confirmed: bool,
    clock: Instant,
    total: usize,
    sent: usize,
    acks: usize,
    refused: usize,
    /// Whether the last read found few messages.
    found_few: bool,
    /// Whether waits are of interest by now.
    timed: bool,
    waits: Waits,
    deliveries: Deliveries,
}

/// Whether everything that was to come did, once and as it was to be.
pub fn run(options: &Arguments) -> bool {
    let (count, warm) = (options.number("count", 100_000), options.number("warm", 0));
    let window = options.number("window", 20_000);
    let backlog = options.flag("backlog").then(|| Consumer::of(options));
    // Longer than the consumer's ack_wait: what is delivered a second time is still counted.
    let patience = Duration::from_secs(options.number("patience", 45) as u64);
    let mut load = Load::new(options, count + warm);
    load.link.socket.set_read_timeout(Some(patience)).unwrap();
    let cpu = cpu::used();
    let started = match &backlog {
        Some(consumer) => load.store(consumer, window),
        None => load.warm_up(warm, window),
    };
    let mut lives = started.is_some();
    while lives && !load.is_done() {
        load.publish(load.deliveries.done() + window);
        lives = load.receive();
    }
    if !lives {
        eprintln!("nothing came for {patience:?}");
    }
    let (elapsed, cpu) = (started.unwrap_or(load.clock).elapsed(), cpu::per_message(cpu, load.sent));
    load.wait_for_quiet();
    load.report(count, elapsed, &cpu)
}

impl Load {
    fn new(options: &Arguments, total: usize) -> Load {
        let inbox = format!("_INBOX.load{}", std::process::id());
        let confirmed = options.flag("confirmed") || options.flag("backlog");
        let deliveries = Deliveries::new(Expected::read(options), options.flag("filtered"), total);
        Load {
            link: Link::connect(options.text("server"), &[(options.text("out"), 1), (&inbox, 2)]),
            frames: frames(options, if confirmed { &inbox } else { "" }),
            confirmed,
            clock: Instant::now(),
            total,
            sent: 0,
            acks: 0,
            refused: 0,
            found_few: false,
            timed: false,
            waits: Waits::new(total),
            deliveries,
        }
    }

    /// Until the first `warm` are through; gives the time from which the others count.
    fn warm_up(&mut self, warm: usize, window: usize) -> Option<Instant> {
        while self.deliveries.delivered < self.deliveries.wanted(warm) {
            self.publish(self.deliveries.done() + window);
            if !self.receive() {
                return None;
            }
        }
        self.timed = true;
        Some(Instant::now())
    }

    /// Fills the stream while its consumer waits. The last message is left for later: a consumer that
    /// may go on looks for work when the next one is stored.
    fn store(&mut self, consumer: &Consumer, window: usize) -> Option<Instant> {
        consumer.pause(true);
        while self.acks < self.total - 1 {
            self.publish((self.acks + window).min(self.total - 1));
            if !self.receive() {
                return None;
            }
        }
        consumer.pause(false);
        let started = Instant::now();
        self.publish(self.total);
        Some(started)
    }

    fn is_done(&self) -> bool {
        self.deliveries.is_complete() && (!self.confirmed || self.acks >= self.total)
    }

    /// Whole blocks, while they end before message number `until`; at the end, what is left.
    fn publish(&mut self, until: usize) {
        let until = until.min(self.total);
        while self.sent < until && (self.sent + BLOCK <= until || until + 1 >= self.total) {
            let (frames, end) = self.frames.from(self.sent, until);
            self.waits.sent(self.sent..end, micros(self.clock));
            self.link.write(frames);
            self.sent = end;
        }
    }

    /// One read, after a pause where the last one found few. `false` when nothing came for too long.
    fn receive(&mut self) -> bool {
        if self.found_few {
            #[allow(clippy::disallowed_methods)] // it has the thread for itself
            std::thread::sleep(PAUSE);
        }
        let (mut now, mut found) = (None, 0);
        let Load { link, deliveries, waits, acks, refused, .. } = self;
        let lives = link.deliveries(|message| {
            found += 1;
            if message.sid == 2 {
                *acks += 1;
                *refused += usize::from(!is_pub_ack(message.payload));
            } else if let Some(number) = deliveries.take(message.payload)
                && self.timed
            {
                waits.delivered(number, *now.get_or_insert_with(|| micros(self.clock)));
            }
        });
        self.found_few = found < FEW;
        lives
    }

    /// What comes now is wrong or double.
    fn wait_for_quiet(&mut self) {
        self.link.socket.set_read_timeout(Some(QUIET)).unwrap();
        while self.receive() {}
    }

    /// Prints what was seen; `false`, and no rate, when something is missing, wrong, double or refused.
    fn report(&mut self, count: usize, elapsed: Duration, cpu: &str) -> bool {
        let stored = !self.confirmed || self.refused == 0 && self.acks == self.total;
        if !stored {
            eprintln!("{} of {} messages have a PubAck, {} were refused", self.acks, self.total, self.refused);
        }
        let clean = self.deliveries.verdict() && stored;
        let seconds = elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss)]
        let rate = count as f64 / seconds;
        let waits = self.waits.json();
        let figures = format!(",\"seconds\":{seconds:.3},\"rate\":{rate:.0},\"cpu_us\":{cpu},{waits}");
        println!(
            "{{\"sent\":{},{},\"refused\":{}{}}}",
            self.sent,
            self.deliveries.json(),
            self.refused,
            if clean { &figures } else { "" }
        );
        clean
    }
}

fn frames(options: &Arguments, reply: &str) -> Frames {
    // A stream takes an id of the run before for a duplicate, and stores nothing.
    let run = RandomState::new().build_hasher().finish() as u32;
    let target = options.text("in").as_bytes();
    let mut order = Order::new(options.number("items", 2), false);
    Frames::new(|number| {
        let id = format!("NATS/1.0\r\nNats-Msg-Id: {run:08x}-");
        let headers = format!(
            "{id}{number:09}\r\nContent-Type: application/xml\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
        );
        let mut bytes = Vec::new();
        publish(&mut bytes, target, reply.as_bytes(), headers.as_bytes(), order.set(number));
        let payload = bytes.len() - 2 - order.len();
        Frame { bytes, numbers: vec![payload - headers.len() + id.len(), payload + order.place()] }
    })
}
