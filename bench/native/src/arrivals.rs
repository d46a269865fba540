//! What a source has stored in a stream: pulled, checked and acked. The time from the first message to the last one
//! counts, so that how soon a source notices its input says nothing about its rate.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::cpu;
use crate::deliveries::{Deliveries, Expected};
use crate::wire::{Frame, Link, publish};

const BATCH: i64 = 512;
/// Nothing more is expected when nothing has come for so long.
const PATIENCE: Duration = Duration::from_secs(45);

pub struct Arrivals {
    link: Link,
    next: String,
    inbox: String,
    credit: i64,
    deliveries: Deliveries,
    first: Option<Instant>,
    last: Instant,
}

/// Whether everything has come, once and as it was to be.
pub fn run(options: &Arguments) -> bool {
    let count = options.number("count", 100_000);
    let cpu = cpu::used();
    let mut arrivals = Arrivals::new(options, count);
    println!("ready");
    while !arrivals.is_complete() && arrivals.waited() < PATIENCE {
        arrivals.take(Duration::from_millis(100), |_, _| {});
    }
    arrivals.report(count, &cpu::per_message(cpu, count), "")
}

impl Arrivals {
    pub fn new(options: &Arguments, count: usize) -> Arrivals {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", options.text("stream"), options.text("durable"));
        let inbox = format!("_INBOX.arrivals{}", std::process::id());
        let link = Link::connect(options.text("server"), &[(&inbox, 1)]);
        let deliveries = Deliveries::new(Expected::read(options), false, count);
        let mut arrivals = Arrivals { link, next, inbox, credit: 0, deliveries, first: None, last: Instant::now() };
        arrivals.ask();
        arrivals.ask();
        arrivals.link.flush();
        arrivals
    }

    fn ask(&mut self) {
        let request = format!("{{\"batch\":{BATCH},\"expires\":30000000000}}");
        publish(&mut self.link.out, self.next.as_bytes(), self.inbox.as_bytes(), b"", request.as_bytes());
        self.credit += BATCH;
    }

    /// Reads once, for so long at most. `seen` is told the number of each message, and when it came.
    pub fn take(&mut self, wait: Duration, mut seen: impl FnMut(usize, Instant)) {
        self.link.socket.set_read_timeout(Some(wait)).unwrap();
        let (mut taken, mut over) = (0, false);
        let (deliveries, now) = (&mut self.deliveries, Instant::now);
        let mut came = None;
        self.link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if message.reply.is_empty() {
                // A request has ended; what it did not bring is asked for anew.
                over = true;
                return;
            }
            taken += 1;
            let at = *came.get_or_insert_with(now);
            if let Some(number) = deliveries.take(message.payload) {
                seen(number, at);
            }
            publish(out, message.reply, b"", b"", b"");
        });
        if let Some(at) = came {
            self.first.get_or_insert(at);
            self.last = at;
        }
        self.credit = if over { 0 } else { self.credit - taken };
        while self.credit <= BATCH {
            self.ask();
        }
        self.link.flush();
    }

    pub fn delivered(&self) -> usize {
        self.deliveries.delivered
    }

    pub fn is_complete(&self) -> bool {
        self.deliveries.is_complete()
    }

    /// Since the last message.
    pub fn waited(&self) -> Duration {
        self.last.elapsed()
    }

    /// `more`: further figures, as JSON.
    #[allow(clippy::cast_precision_loss)]
    pub fn report(&self, count: usize, cpu: &str, more: &str) -> bool {
        let seconds = self.first.map_or(0.0, |first| (self.last - first).as_secs_f64());
        let (rate, counts) = (count as f64 / seconds, self.deliveries.json());
        let more = if more.is_empty() { "\"p50_us\":0,\"p99_us\":0" } else { more };
        println!("{{\"rate\":{rate:.0},\"seconds\":{seconds:.3},\"cpu_us\":{cpu},{more},{counts}}}");
        self.deliveries.verdict()
    }
}
