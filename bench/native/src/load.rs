//! The load: publishes with a window, counts and checks what comes back.
//!
//! With `--backlog` the consumer is paused until everything is stored, and the time from its resumption to
//! the last delivery counts: what relay and server can do while nobody publishes beside them.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::order::{DIGITS, Order, number_in, passes, write_digits};
use crate::wire::{Frame, Link, is_pub_ack, publish, request};

const BURST: usize = 256;

#[derive(Default)]
struct Seen {
    numbers: Vec<bool>,
    delivered: usize,
    duplicates: usize,
    wrong: usize,
    refused: usize,
    /// Microseconds since the start, when each was sent; and from then to its delivery, of those timed.
    sent_at: Vec<u32>,
    waits: Vec<u32>,
}

impl Seen {
    fn new(total: usize) -> Seen {
        Seen { numbers: vec![false; total], sent_at: vec![0; total], ..Seen::default() }
    }

    /// Of all waits, the one that this part is not longer than.
    fn wait(&mut self, part: f64) -> u32 {
        self.waits.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let place = (self.waits.len() as f64 * part) as usize;
        self.waits.get(place).copied().unwrap_or(0)
    }
}

/// What a delivered payload has to be, with its number in place.
struct Expected {
    text: Vec<u8>,
    number: usize,
}

impl Expected {
    fn read(path: &str) -> Expected {
        let text = std::fs::read(path).unwrap();
        let number = memchr::memmem::find(&text, b"000000000").expect("the number's place in --expect");
        Expected { text, number }
    }

    fn is(&mut self, payload: &[u8], number: usize) -> bool {
        write_digits(&mut self.text[self.number..self.number + DIGITS], number);
        self.text == payload
    }
}

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
    target: Vec<u8>,
    inbox: Vec<u8>,
    /// A stream takes an id of the run before for a duplicate, and stores nothing.
    run: u32,
    order: Order,
    expected: Option<Expected>,
    filtered: bool,
    confirmed: bool,
    clock: Instant,
    total: usize,
    sent: usize,
    acks: usize,
    /// Whether waits are of interest by now.
    timed: bool,
    seen: Seen,
}

/// Whether everything that was to come did, as it was to be.
pub fn run(options: &Arguments) -> bool {
    let (count, warm) = (options.number("count", 100_000), options.number("warm", 0));
    let window = options.number("window", 20_000);
    let backlog = options.flag("backlog").then(|| Consumer::of(options));
    // Longer than the consumer's ack_wait: what is delivered a second time is still counted.
    let patience = Duration::from_secs(options.number("patience", 45) as u64);
    let mut load = Load::new(options, count + warm);
    load.link.socket.set_read_timeout(Some(patience)).unwrap();
    let started = match &backlog {
        Some(consumer) => load.store(consumer, window),
        None => load.warm_up(warm, window),
    };
    let mut lives = started.is_some();
    while lives && !load.is_done() {
        load.publish(load.done() + window);
        lives = load.receive();
    }
    if !lives {
        eprintln!("nothing came for {patience:?}");
    }
    load.report(count, started.unwrap_or(load.clock).elapsed())
}

impl Load {
    fn new(options: &Arguments, total: usize) -> Load {
        let inbox = format!("_INBOX.load{}", std::process::id());
        Load {
            link: Link::connect(options.text("server"), &[(options.text("out"), 1), (&inbox, 2)]),
            target: options.text("in").as_bytes().to_vec(),
            inbox: inbox.into_bytes(),
            run: RandomState::new().build_hasher().finish() as u32,
            order: Order::new(options.number("items", 2)),
            expected: options.optional("expect").map(Expected::read),
            filtered: options.flag("filtered"),
            confirmed: options.flag("confirmed") || options.flag("backlog"),
            clock: Instant::now(),
            total,
            sent: 0,
            acks: 0,
            timed: false,
            seen: Seen::new(total),
        }
    }

    /// Until the first `warm` are through; gives the time from which the others count.
    fn warm_up(&mut self, warm: usize, window: usize) -> Option<Instant> {
        while self.seen.delivered < self.wanted(warm) {
            self.publish(self.done() + window);
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

    /// With a filter, every delivery stands for two that were sent.
    fn done(&self) -> usize {
        if self.filtered { self.seen.delivered * 2 } else { self.seen.delivered }
    }

    fn wanted(&self, sent: usize) -> usize {
        if self.filtered { sent.div_ceil(2) } else { sent }
    }

    fn is_done(&self) -> bool {
        self.seen.delivered >= self.wanted(self.total) && (!self.confirmed || self.acks >= self.total)
    }

    /// Whole bursts, while they end before message number `until`; at the end, what is left.
    fn publish(&mut self, until: usize) {
        let until = until.min(self.total);
        while self.sent < until && (self.sent + BURST <= until || until + 1 >= self.total) {
            let now = micros(self.clock);
            let end = until.min(self.sent + BURST);
            for number in self.sent..end {
                let headers = format!(
                    "NATS/1.0\r\nNats-Msg-Id: {:08x}-{number:07}\r\nContent-Type: application/xml\r\n\
                     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
                    self.run
                );
                let reply = if self.confirmed { &*self.inbox } else { b"" };
                self.seen.sent_at[number] = now;
                publish(&mut self.link.out, &self.target, reply, headers.as_bytes(), self.order.set(number));
            }
            self.sent = end;
            self.link.flush();
        }
    }

    /// One read. `false` when nothing came for too long.
    fn receive(&mut self) -> bool {
        let mut now = None;
        let Load { link, seen, expected, acks, .. } = self;
        link.burst(|frame, _| {
            let Frame::Message(message) = frame else { return };
            if message.sid == 2 {
                *acks += 1;
                seen.refused += usize::from(!is_pub_ack(&message));
                return;
            }
            let now = self.timed.then(|| *now.get_or_insert_with(|| micros(self.clock)));
            check(seen, message.payload, self.filtered, expected.as_mut(), now);
        })
    }

    /// Prints what was seen; `false` when something is missing, wrong or refused.
    fn report(&mut self, count: usize, elapsed: Duration) -> bool {
        let seconds = elapsed.as_secs_f64();
        let awaited = |number: &usize| !self.seen.numbers[*number] && (!self.filtered || passes(*number));
        let missing = (0..self.total).filter(awaited).count();
        #[allow(clippy::cast_precision_loss)]
        let rate = count as f64 / seconds;
        let waits = (self.seen.wait(0.5), self.seen.wait(0.99));
        println!(
            "{{\"sent\":{},\"delivered\":{},\"missing\":{missing},\"duplicates\":{},\"wrong\":{},\"refused\":{},\
             \"bytes\":{},\"seconds\":{seconds:.3},\"rate\":{rate:.0},\"p50_us\":{},\"p99_us\":{}}}",
            self.sent,
            self.seen.delivered,
            self.seen.duplicates,
            self.seen.wrong,
            self.seen.refused,
            self.order.len(),
            waits.0,
            waits.1
        );
        missing == 0 && self.seen.wrong == 0 && self.seen.refused == 0 && (!self.confirmed || self.acks == self.total)
    }
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Counts one delivery; `now` when its wait is of interest.
fn check(seen: &mut Seen, payload: &[u8], filtered: bool, expected: Option<&mut Expected>, now: Option<u32>) {
    let Some(number) = number_in(payload).filter(|number| *number < seen.numbers.len()) else {
        seen.wrong += 1;
        return;
    };
    let right = expected.is_none_or(|expected| expected.is(payload, number) || !passes(number));
    if !right || filtered && !passes(number) {
        seen.wrong += 1;
    }
    if std::mem::replace(&mut seen.numbers[number], true) {
        seen.duplicates += 1;
    } else {
        seen.delivered += 1;
        seen.waits.extend(now.map(|now| now.saturating_sub(seen.sent_at[number])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Right, duplicate, and every way to be wrong.
    #[test]
    fn each_delivery_is_counted_for_what_it_is() {
        let mut order = Order::new(2);
        let mut expected = Expected { number: 0, text: order.set(0).to_vec() };
        expected.number = memchr::memmem::find(&expected.text, b"000000000").unwrap();
        let mut seen = Seen::new(10);
        let mut counted = |payload: &[u8], filtered| {
            check(&mut seen, payload, filtered, Some(&mut expected), Some(7));
            (seen.delivered, seen.duplicates, seen.wrong)
        };
        assert_eq!(counted(order.set(4), true), (1, 0, 0));
        assert_eq!(counted(order.set(4), true), (1, 1, 0));
        let mut other = order.set(6).to_vec();
        other.push(b'!');
        assert_eq!(counted(&other, true), (2, 1, 1));
        // To be filtered, unknown, without a number.
        assert_eq!(counted(order.set(5), true), (3, 1, 2));
        assert_eq!(counted(order.set(10), true), (3, 1, 3));
        assert_eq!(counted(b"{}", true), (3, 1, 4));
        assert_eq!(seen.wait(0.5), 7);
    }
}
