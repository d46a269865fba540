//! What a source has stored in a stream: pulled, checked and acked. The time from the first message to the last one
//! counts, so that how soon a source notices its input says nothing about its rate.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::cpu;
use crate::deliveries::{Deliveries, Expected};
use crate::pull::Pull;
use crate::wire::{Frame, Link, publish};

/// Nothing more is expected when nothing has come for so long.
const PATIENCE: Duration = Duration::from_secs(45);

pub struct Arrivals {
    link: Link,
    pull: Pull,
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
    while arrivals.may_come() {
        arrivals.take(Duration::from_millis(100), |_, _| {});
    }
    arrivals.report(count, &cpu::per_message(cpu, count), "")
}

impl Arrivals {
    pub fn new(options: &Arguments, count: usize) -> Arrivals {
        let inbox = format!("_INBOX.arrivals{}", std::process::id());
        let mut link = Link::connect(options.text("server"), &[(&inbox, 1)]);
        let deliveries = Deliveries::new(Expected::read(options), false, count);
        let pull = Pull::new(options, &inbox, &mut link.out);
        link.flush();
        Arrivals { link, pull, deliveries, first: None, last: Instant::now() }
    }

    /// Reads once, for so long at most. `seen` is told the number of each message, and when it came.
    pub fn take(&mut self, wait: Duration, mut seen: impl FnMut(usize, Instant)) {
        self.link.socket.set_read_timeout(Some(wait)).unwrap();
        let (pull, deliveries) = (&mut self.pull, &mut self.deliveries);
        let mut came = None;
        self.link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if !pull.takes(&message, out) {
                return;
            }
            let at = *came.get_or_insert_with(Instant::now);
            if let Some(number) = deliveries.take(message.payload) {
                seen(number, at);
            }
            publish(out, message.reply, b"", b"", b"");
        });
        if let Some(at) = came {
            self.first.get_or_insert(at);
            self.last = at;
        }
    }

    pub fn delivered(&self) -> usize {
        self.deliveries.delivered
    }

    pub fn is_complete(&self) -> bool {
        self.deliveries.is_complete()
    }

    /// Whether there is more to wait for.
    pub fn may_come(&self) -> bool {
        !self.is_complete() && self.last.elapsed() < PATIENCE
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
