//! What has been delivered, against what has to be: each number once, and every payload byte for byte.
//!
//! All payloads go into a checksum; it is the sum of a hash of each, so that their order does not matter. What it has
//! to be is known before the first message is sent. Every `SAMPLED`th payload is compared as well, which names a
//! wrong one; comparing all would name all, at the price of a second look at each.

use crate::arguments::Arguments;
use crate::order::{DIGITS, number_at, passes, write_digits};

const SAMPLED: usize = 16;

/// What a delivered payload has to be, with its number in place: of an even number, and of an odd one.
pub struct Expected {
    texts: [Vec<u8>; 2],
    place: usize,
}

impl Expected {
    /// The files' payloads are those of the orders 0 and 1; without the second, all are as the first.
    pub fn read(options: &Arguments) -> Expected {
        let even = std::fs::read(options.text("expect")).unwrap();
        let odd = options.optional("expect-odd").map_or_else(|| even.clone(), |path| std::fs::read(path).unwrap());
        Expected::new(even, odd)
    }

    pub fn new(even: Vec<u8>, mut odd: Vec<u8>) -> Expected {
        let place = memchr::memmem::find(&even, b"000000000").expect("the number's place in --expect");
        assert!(number_at(&odd, place).is_some(), "the number's place in --expect-odd");
        write_digits(&mut odd[place..place + DIGITS], 1);
        Expected { texts: [even, odd], place }
    }

    fn at(&mut self, number: usize) -> &[u8] {
        let text = &mut self.texts[number % 2];
        write_digits(&mut text[self.place..self.place + DIGITS], number);
        text
    }
}

pub struct Deliveries {
    expected: Expected,
    filtered: bool,
    /// Which numbers have come, a bit each; and how many there are.
    seen: Vec<u64>,
    total: usize,
    pub delivered: usize,
    doubles: usize,
    wrong: usize,
    first_wrong: Option<String>,
    checksum: u64,
    wanted_checksum: u64,
}

impl Deliveries {
    /// Of the numbers below `total`; with `filtered`, of the even ones.
    pub fn new(mut expected: Expected, filtered: bool, total: usize) -> Deliveries {
        let wanted = (0..total).filter(|number| !filtered || passes(*number));
        let wanted_checksum = wanted.fold(0, |sum: u64, number| sum.wrapping_add(hash(expected.at(number))));
        Deliveries {
            expected,
            filtered,
            seen: vec![0; total.div_ceil(64)],
            total,
            delivered: 0,
            doubles: 0,
            wrong: 0,
            first_wrong: None,
            checksum: 0,
            wanted_checksum,
        }
    }

    /// Counts one delivery; its number when it is the first of a message that was to come.
    pub fn take(&mut self, payload: &[u8]) -> Option<usize> {
        let number = number_at(payload, self.expected.place);
        let Some(number) = number.filter(|number| *number < self.total && (!self.filtered || passes(*number))) else {
            self.count_wrong(payload);
            return None;
        };
        let (word, bit) = (&mut self.seen[number / 64], 1 << (number % 64));
        if *word & bit != 0 {
            self.doubles += 1;
            return None;
        }
        *word |= bit;
        self.checksum = self.checksum.wrapping_add(hash(payload));
        if self.delivered.is_multiple_of(SAMPLED) && self.expected.at(number) != payload {
            self.count_wrong(payload);
        }
        self.delivered += 1;
        Some(number)
    }

    /// How many of the first `sent` are to come.
    pub fn wanted(&self, sent: usize) -> usize {
        if self.filtered { sent.div_ceil(2) } else { sent }
    }

    /// With a filter, every delivery stands for two that were sent.
    pub fn done(&self) -> usize {
        if self.filtered { self.delivered * 2 } else { self.delivered }
    }

    pub fn is_complete(&self) -> bool {
        self.delivered >= self.wanted(self.total)
    }

    /// Whether everything came, once and as it was to be; says what did not.
    pub fn verdict(&self) -> bool {
        let faults = self.faults();
        for fault in &faults {
            eprintln!("{fault}");
        }
        faults.is_empty()
    }

    pub fn json(&self) -> String {
        format!(
            "\"delivered\":{},\"missing\":{},\"doubles\":{},\"wrong\":{},\"checksum\":\"{:016x}\"",
            self.delivered,
            self.missing().0,
            self.doubles,
            self.wrong,
            self.checksum
        )
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let (count, Some(first)) = self.missing() {
            faults.push(format!("{count} of {} messages are missing, the first is {first}", self.wanted(self.total)));
        } else if self.checksum != self.wanted_checksum {
            let (is, wanted) = (self.checksum, self.wanted_checksum);
            faults.push(format!("the checksum of all payloads is {is:016x} instead of {wanted:016x}"));
        }
        if self.doubles > 0 {
            faults.push(format!("{} messages were delivered more than once", self.doubles));
        }
        if let Some(first) = &self.first_wrong {
            faults.push(format!("{} payloads are wrong, the first is {first}", self.wrong));
        }
        faults
    }

    fn missing(&self) -> (usize, Option<usize>) {
        let mut missing = (0..self.total)
            .filter(|number| (!self.filtered || passes(*number)) && self.seen[number / 64] >> (number % 64) & 1 == 0);
        let first = missing.next();
        (usize::from(first.is_some()) + missing.count(), first)
    }

    #[cold]
    fn count_wrong(&mut self, payload: &[u8]) {
        self.wrong += 1;
        self.first_wrong.get_or_insert_with(|| String::from_utf8_lossy(payload).into_owned());
    }
}

/// Of every byte, its place and the length. Four sums of words, and four of these sums after each word, which makes
/// places count; the processor adds four at a time. Mixed at the end, so that differences of two payloads do not add
/// up to none.
pub fn hash(bytes: &[u8]) -> u64 {
    let (mut sums, mut places) = ([0u64; 4], [0u64; 4]);
    let mut add = |words: &[u8; 32]| {
        for ((sum, place), word) in sums.iter_mut().zip(&mut places).zip(words.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
            *place = place.wrapping_add(*sum);
        }
    };
    let (blocks, rest) = bytes.as_chunks::<32>();
    blocks.iter().for_each(&mut add);
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    add(&last);
    let mix = |hash: u64, sum: &u64| (hash ^ sum).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    sums.iter().chain(&places).fold(bytes.len() as u64, mix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Order;

    const TOTAL: usize = 40;

    fn deliveries(filtered: bool) -> Deliveries {
        let mut order = Order::new(2, false);
        let (even, odd) = (order.set(0).to_vec(), order.set(1).to_vec());
        Deliveries::new(Expected::new(even, odd), filtered, TOTAL)
    }

    /// What is said when each order comes as `change` makes it: not at all, once or more often.
    fn faults(filtered: bool, change: impl Fn(usize, Vec<u8>) -> Vec<Vec<u8>>) -> String {
        let (mut found, mut order) = (deliveries(filtered), Order::new(2, false));
        // Backwards: the order of delivery is of no matter.
        for number in (0..TOTAL).rev().filter(|number| !filtered || passes(*number)) {
            for payload in change(number, order.set(number).to_vec()) {
                found.take(&payload);
            }
        }
        found.faults().join("; ")
    }

    #[test]
    fn nothing_is_said_when_all_came_once() {
        assert_eq!(faults(false, |_, payload| vec![payload]), "");
        assert_eq!(faults(true, |_, payload| vec![payload]), "");
    }

    #[test]
    fn each_byte_of_each_payload_counts() {
        for number in [0, 17, TOTAL - 1] {
            for at in 0..Order::new(2, false).len() {
                let said = faults(false, |this, mut payload| {
                    payload[at] ^= u8::from(this == number);
                    vec![payload]
                });
                assert!(!said.is_empty(), "{number} at {at}");
            }
        }
    }

    #[test]
    fn a_longer_and_a_shorter_payload_are_found() {
        let longer = faults(false, |number, payload| vec![[&*payload, &b"\0"[..usize::from(number == 3)]].concat()]);
        assert!(longer.starts_with("the checksum of all payloads is "), "{longer}");
        let shorter =
            faults(false, |number, payload| vec![payload[..payload.len() - usize::from(number == 3)].to_vec()]);
        assert!(shorter.starts_with("the checksum of all payloads is "), "{shorter}");
    }

    #[test]
    fn bytes_that_have_changed_places_are_found() {
        // Of the same word, of words side by side, and of words that are added to the same sum.
        for (one, other) in [(0, 1), (1, 9), (1, 33)] {
            let said = faults(false, |number, mut payload| {
                payload.swap(one, if number == 3 { other } else { one });
                vec![payload]
            });
            assert!(said.starts_with("the checksum of all payloads is "), "{one} and {other}: {said}");
        }
    }

    #[test]
    fn missing_and_double_messages_are_found() {
        let missing = faults(false, |number, payload| if number == 7 { vec![] } else { vec![payload] });
        assert_eq!(missing, "1 of 40 messages are missing, the first is 7");
        let double = faults(false, |number, payload| vec![payload; if number == 7 { 2 } else { 1 }]);
        assert_eq!(double, "1 messages were delivered more than once");
        let instead =
            faults(false, |number, payload| if number == 7 { vec![] } else { vec![payload; 1 + number / 39] });
        assert_eq!(instead, "1 of 40 messages are missing, the first is 7; 1 messages were delivered more than once");
    }

    #[test]
    fn a_message_that_was_not_sent_or_had_to_be_filtered_out_is_wrong() {
        for payload in [b"{}".to_vec(), Order::new(2, false).set(TOTAL).to_vec(), Order::new(2, false).set(5).to_vec()]
        {
            let said =
                faults(true, |number, right| if number == 0 { vec![right, payload.clone()] } else { vec![right] });
            assert!(said.starts_with("1 payloads are wrong, the first is "), "{said}");
        }
    }
}
