//! The load: publishes with a window, counts and checks what comes back.

use std::time::Instant;

use crate::arguments::Arguments;
use crate::order::{DIGITS, Order, number_in, passes, write_digits};
use crate::wire::{Frame, Link, publish};

const BURST: usize = 256;

#[derive(Default)]
struct Seen {
    numbers: Vec<bool>,
    delivered: usize,
    duplicates: usize,
    wrong: usize,
    refused: usize,
}

/// What a delivered payload has to be, with its number in place.
struct Expected {
    text: Vec<u8>,
    number: usize,
}

impl Expected {
    fn read(path: &str) -> Expected {
        let text = std::fs::read(path).unwrap().trim_ascii_end().to_vec();
        let number = memchr::memmem::find(&text, b"000000000").expect("the number's place in --expect");
        Expected { text, number }
    }

    fn is(&mut self, payload: &[u8], number: usize) -> bool {
        write_digits(&mut self.text[self.number..self.number + DIGITS], number);
        self.text == payload
    }
}

pub fn run(options: &Arguments) {
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
    let mut seen = Seen { numbers: vec![false; total], ..Seen::default() };
    let (mut sent, mut acks, mut started, mut began) = (0, 0, Instant::now(), warm == 0);
    while seen.delivered < wanted(total) || confirmed && acks < total {
        // With a filter, every delivery stands for two that were sent.
        let done = if filtered { seen.delivered * 2 } else { seen.delivered };
        while sent < total && sent + BURST <= done + window {
            for number in sent..total.min(sent + BURST) {
                let headers = format!(
                    "NATS/1.0\r\nNats-Msg-Id: order-{number:010}\r\nContent-Type: application/xml\r\n\
                     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
                );
                let reply = if confirmed { inbox.as_bytes() } else { b"" };
                publish(&mut link.out, &target, reply, headers.as_bytes(), order.set(number));
            }
            sent = total.min(sent + BURST);
            link.flush();
        }
        link.burst(|frame, _| {
            let Frame::Message(message) = frame else { return };
            if message.sid == 2 {
                acks += 1;
                seen.refused += usize::from(memchr::memmem::find(message.payload, b"\"error\"").is_some());
                return;
            }
            check(&mut seen, message.payload, filtered, expected.as_mut());
        });
        if !began && seen.delivered >= wanted(warm) {
            (began, started) = (true, Instant::now());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let missing = (0..total).filter(|number| !seen.numbers[*number] && (!filtered || passes(*number))).count();
    #[allow(clippy::cast_precision_loss)]
    let rate = count as f64 / seconds;
    println!(
        "{{\"sent\":{sent},\"delivered\":{},\"missing\":{missing},\"duplicates\":{},\"wrong\":{},\"refused\":{},\
         \"bytes\":{},\"seconds\":{seconds:.3},\"rate\":{rate:.0}}}",
        seen.delivered,
        seen.duplicates,
        seen.wrong,
        seen.refused,
        order.len()
    );
    let clean = missing == 0 && seen.wrong == 0 && seen.refused == 0;
    std::process::exit(i32::from(!clean));
}

fn check(seen: &mut Seen, payload: &[u8], filtered: bool, expected: Option<&mut Expected>) {
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
    }
}
