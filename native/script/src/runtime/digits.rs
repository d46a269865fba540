//! Numbers whose digits JavaScript cannot hold: a script that only hands one on gives it back as it came.
//!
//! A number that was read is a double like any other, so it is known again by its value. That is sound
//! where nobody arrives at the same value by another way: from 2^53 on, where ids are, and with 16
//! significant digits and more. Shorter ones (`0.1000000000000000055`, which reads as 0.1) become what
//! they read as, or every 0.1 of the script would be written with their digits.

use std::cell::RefCell;
use std::collections::HashMap;

use message::Span;

/// Up to here all digits survive a double, whatever they are.
const SHORT: usize = 15;

/// The first integer of which a double cannot tell the next.
const UNSAFE: f64 = 9_007_199_254_740_992.0;

/// Where the digits of one value stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    At(Span),
    /// The message has several numbers that read as this value.
    Ambiguous,
}

/// The numbers of one message that a script has read and that have more digits than their value.
#[derive(Default)]
pub struct Long {
    by_value: RefCell<HashMap<u64, Digits>>,
}

impl Long {
    /// Whether [`Long::note`] could have something to do.
    #[inline]
    pub fn may_be(text: &str) -> bool {
        text.len() > SHORT
    }

    /// Notes that `text`, which stands at `span` of `source`, was read as `value`.
    #[cold]
    pub fn note(&self, text: &str, value: f64, span: Span, source: impl Fn(Span) -> String) {
        if !is_long(text, value) {
            return;
        }
        let mut by_value = self.by_value.borrow_mut();
        let digits = by_value.entry(value.to_bits()).or_insert(Digits::At(span));
        if let Digits::At(other) = *digits
            && !same_digits(text, &source(other))
        {
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

/// Whether a double loses digits of `text`, and is one that is known again.
fn is_long(text: &str, value: f64) -> bool {
    if !value.is_finite() || value == 0.0 {
        return false;
    }
    let shortest = format!("{value:e}");
    let is_known_again = value.abs() >= UNSAFE || significant(&shortest).count() > SHORT;
    is_known_again && !same_digits(text, &shortest)
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

    #[test]
    fn long_is_what_a_double_loses_and_nobody_computes() {
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
            assert!(Long::may_be(text) && is_long(text, text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.1000000000000000055",
            "1.00000000000000000001",
            "100.0000000000000000",
            "9007199254740992",
            "123456789012345680000",
            "0.30000000000000004",
            "1e400",
            "0.00000000000000000000000",
            "1000000000000000000000000",
        ] {
            assert!(!is_long(text, text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn one_value_with_different_digits_is_ambiguous() {
        let texts = ["12345678901234567890", "12345678901234567890.0", "12345678901234567891"];
        let source = texts.concat();
        let at = |span: Span| source[span.start as usize..][..span.length as usize].to_owned();
        let long = Long::default();
        let mut start = 0;
        let mut found = Vec::new();
        for text in texts {
            let value = text.parse().unwrap();
            long.note(text, value, Span::between(start, start + text.len()), at);
            start += text.len();
            found.push(long.find(value).unwrap());
        }
        assert_eq!(found, [Digits::At(Span::between(0, 20)), Digits::At(Span::between(0, 20)), Digits::Ambiguous]);
        long.clear();
        assert_eq!(long.find(12_345_678_901_234_567_890.0), None);
    }
}
