//! Numbers whose digits JavaScript cannot hold: a script that only hands one on gives it back as it came.
//!
//! A number that was read is a double like any other, so it is known again by its value. That serves
//! where hardly anybody arrives at the same value by another way: from 2^53 on, where ids are, and with 16
//! significant digits and more. Who does, as by `id + 1` far beyond 2^53, gets the id. Shorter ones (`0.1000000000000000055`, which reads as 0.1) become what
//! they read as, or every 0.1 of the script would be written with their digits.

use std::cell::RefCell;
use std::collections::HashMap;

use message::Span;

/// Up to here all digits survive a double, whatever they are.
const SHORT: usize = 15;

/// The first integer of which a double cannot tell the next.
const UNSAFE: f64 = 9_007_199_254_740_992.0;

/// The digits of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// Those that JavaScript writes.
    Own,
    /// Others, and where they stand.
    At(Span),
    /// The message has several numbers that read as this value.
    Ambiguous,
}

/// The numbers of one message that a script has read and that are known again, also those that lose
/// nothing: beside one that does, nobody could say which of them is written.
#[derive(Default)]
pub struct Long {
    by_value: RefCell<HashMap<u64, Digits>>,
}

impl Long {
    /// Whether [`Long::note`] could have something to do.
    #[inline]
    pub fn may_be(text: &str, value: f64) -> bool {
        text.len() > SHORT || value.abs() >= UNSAFE
    }

    /// Notes that `text`, which stands at `span` of `source`, was read as `value`.
    #[cold]
    pub fn note(&self, text: &str, value: f64, span: Span, source: impl Fn(Span) -> String) {
        let Some(own) = known_again(value) else { return };
        let read = if same_digits(text, &own) { Digits::Own } else { Digits::At(span) };
        let mut by_value = self.by_value.borrow_mut();
        let digits = by_value.entry(value.to_bits()).or_insert(read);
        let is_same = match (*digits, read) {
            (Digits::At(other), Digits::At(_)) => same_digits(text, &source(other)),
            (earlier, now) => earlier == now,
        };
        if !is_same {
            *digits = Digits::Ambiguous;
        }
    }

    #[inline]
    pub fn find(&self, value: f64) -> Option<Digits> {
        let by_value = self.by_value.borrow();
        if by_value.is_empty() { None } else { by_value.get(&value.to_bits()).copied() }
    }

    pub fn clear(&self) {
        let mut by_value = self.by_value.borrow_mut();
        if !by_value.is_empty() {
            by_value.clear();
        }
    }

    pub fn memory(&self) -> usize {
        self.by_value.borrow().capacity() * size_of::<(u64, Digits)>()
    }
}

/// The digits that JavaScript writes for a value that is known again.
fn known_again(value: f64) -> Option<String> {
    if !value.is_finite() || value == 0.0 {
        return None;
    }
    let own = format!("{value:e}");
    (value.abs() >= UNSAFE || significant(&own).count() > SHORT).then_some(own)
}

/// Whether two texts of the same value have the same digits: `1.50` and `15e-1`.
fn same_digits(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (significant(one), significant(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (a, b) if a.unwrap_or(b'0') == b.unwrap_or(b'0') => {}
            _ => return false,
        }
    }
}

/// From the first digit that is not 0 to the exponent.
fn significant(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mantissa = text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    mantissa.filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(texts: &[&str]) -> Vec<Option<Digits>> {
        let source = texts.concat();
        let at = |span: Span| source[span.start as usize..][..span.length as usize].to_owned();
        let (long, mut start) = (Long::default(), 0);
        let note = |text: &&str| {
            let value = text.parse().unwrap();
            if Long::may_be(text, value) {
                long.note(text, value, Span::between(start, start + text.len()), at);
            }
            start += text.len();
            long.find(value)
        };
        texts.iter().map(note).collect()
    }

    #[test]
    fn a_number_is_known_again_where_nobody_computes_it() {
        for text in [
            "12345678901234567890",
            "-12345678901234567890",
            "9007199254740993",
            "12345678901234567168",
            "1234567890123.4567",
            "3.14159265358979323846",
            "10000000000000000000001",
            "12345678901234567890e5",
        ] {
            assert_eq!(noted(&[text]), [Some(Digits::At(Span::between(0, text.len())))], "{text}");
        }
        for text in [
            "9007199254740992",
            "9007199254740992.0",
            "123456789012345680000",
            "0.30000000000000004",
            "1000000000000000000000000",
            "1e16",
            "-1E16",
        ] {
            assert_eq!(noted(&[text]), [Some(Digits::Own)], "{text}");
        }
        for text in [
            "0.1000000000000000055",
            "1.00000000000000000001",
            "100.0000000000000000",
            "900719925474099",
            "1e15",
            "1e400",
            "0.00000000000000000000000",
        ] {
            assert_eq!(noted(&[text]), [None], "{text}");
        }
    }

    #[test]
    fn one_value_with_different_digits_is_ambiguous() {
        for (texts, is_ambiguous) in [
            (["12345678901234567890", "12345678901234567890.0"], false),
            (["12345678901234567890", "12345678901234567891"], true),
            (["9007199254740993", "9007199254740992"], true),
            (["9007199254740992", "9007199254740993"], true),
            (["12345678901234567890", "12345678901234567000"], true),
            (["10000000000000001", "1e16"], true),
            (["10000000000000000", "1e16"], false),
            (["0.30000000000000004", "0.3000000000000000444"], true),
        ] {
            let last = noted(&texts)[1];
            assert_eq!(last == Some(Digits::Ambiguous), is_ambiguous, "{texts:?}: {last:?}");
        }
        let three = ["9007199254740993", "9007199254740992", "9007199254740993"];
        assert_eq!(noted(&three)[2], Some(Digits::Ambiguous));
    }

    #[test]
    fn what_was_noted_is_forgotten() {
        let long = Long::default();
        long.note("1e16", 1e16, Span::between(0, 4), |_| unreachable!());
        assert_eq!(long.find(1e16), Some(Digits::Own));
        long.clear();
        assert_eq!(long.find(1e16), None);
    }
}
