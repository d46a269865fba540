//! The load: publishes with a window, counts and checks what comes back.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::order::{DIGITS, Order, number_in, passes, write_digits};
use crate::wire::{Frame, Link, is_pub_ack, publish};

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

/// Whether everything that was to come did, as it was to be.
pub fn run(options: &Arguments) -> bool {
    let count = options.number("count", 100_000);
    let window = options.number("window", 20_000);
    let warm = options.number("warm", 0);
    let filtered = options.flag("filtered");
    let confirmed = options.flag("confirmed");
    let mut expected = options.optional("expect").map(Expected::read);
    let mut order = Order::new(options.number("items", 2));
    let target = options.text("in").as_bytes().to_vec();
    let inbox = format!("_INBOX.load{}", std::process::id());
    let mut link = Link::connect(options.text("server"), &[(options.text("out"), 1), (&inbox, 2)]);
    let total = count + warm;
    let wanted = |sent: usize| if filtered { sent.div_ceil(2) } else { sent };
    let mut seen = Seen::new(total);
    let patience = Duration::from_secs(options.number("patience", 20) as u64);
    link.socket.set_read_timeout(Some(patience)).unwrap();
    // A stream takes an id of the run before for a duplicate, and stores nothing.
    let run = RandomState::new().build_hasher().finish() as u32;
    let clock = Instant::now();
    let (mut sent, mut acks, mut started, mut began) = (0, 0, clock, warm == 0);
    while seen.delivered < wanted(total) || confirmed && acks < total {
        // With a filter, every delivery stands for two that were sent.
        let done = if filtered { seen.delivered * 2 } else { seen.delivered };
        while sent < total && sent + BURST <= done + window {
            let now = micros(clock);
            for number in sent..total.min(sent + BURST) {
                let headers = format!(
                    "NATS/1.0\r\nNats-Msg-Id: {run:08x}-{number:07}\r\nContent-Type: application/xml\r\n\
                     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
                );
                let reply = if confirmed { inbox.as_bytes() } else { b"" };
                seen.sent_at[number] = now;
                publish(&mut link.out, &target, reply, headers.as_bytes(), order.set(number));
            }
            sent = total.min(sent + BURST);
            link.flush();
        }
        let mut now = None;
        let progress = link.burst(|frame, _| {
            let Frame::Message(message) = frame else { return };
            if message.sid == 2 {
                acks += 1;
                seen.refused += usize::from(!is_pub_ack(&message));
                return;
            }
            let now = began.then(|| *now.get_or_insert_with(|| micros(clock)));
            check(&mut seen, message.payload, filtered, expected.as_mut(), now);
        });
        if !progress {
            eprintln!("nothing came for {patience:?}");
            break;
        }
        if !began && seen.delivered >= wanted(warm) {
            (began, started) = (true, Instant::now());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let missing = (0..total).filter(|number| !seen.numbers[*number] && (!filtered || passes(*number))).count();
    #[allow(clippy::cast_precision_loss)]
    let rate = count as f64 / seconds;
    let waits = (seen.wait(0.5), seen.wait(0.99));
    println!(
        "{{\"sent\":{sent},\"delivered\":{},\"missing\":{missing},\"duplicates\":{},\"wrong\":{},\"refused\":{},\
         \"bytes\":{},\"seconds\":{seconds:.3},\"rate\":{rate:.0},\"p50_us\":{},\"p99_us\":{}}}",
        seen.delivered,
        seen.duplicates,
        seen.wrong,
        seen.refused,
        order.len(),
        waits.0,
        waits.1
    );
    missing == 0 && seen.wrong == 0 && seen.refused == 0 && (!confirmed || acks == total)
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
