//! Eight bytes at a time in one register ("SIMD within a register"). Names and texts are short, so
//! what counts is not the bytes but the branch that ends each loop; this way most take one round.
//!
//! A mask has the highest bit set in every byte that fits; above the lowest such byte it may be
//! wrong, since a borrow runs upwards. Only the lowest is ever asked for.

/// `byte` in all eight places.
pub(crate) const fn each(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The bytes equal to `byte`.
#[inline]
pub(crate) fn equal(word: u64, byte: u8) -> u64 {
    let zero = word ^ each(byte);
    zero.wrapping_sub(each(1)) & !zero & each(0x80)
}

/// The bytes below `byte`, which is at most 0x80.
#[inline]
pub(crate) fn below(word: u64, byte: u8) -> u64 {
    word.wrapping_sub(each(byte)) & !word & each(0x80)
}

/// The first place from `start` on where `stop` has a bit, or `end`. What follows `end` is looked
/// at too, when it is there, but never found.
#[inline]
pub(crate) fn find(bytes: &[u8], start: usize, end: usize, stop: impl Fn(u64) -> u64) -> usize {
    let mut at = start;
    while at < end {
        let rest = &bytes[at..];
        let word = match rest.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => last_word(rest),
        };
        let stops = stop(word);
        if stops != 0 {
            return end.min(at + stops.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    end
}

/// Less than eight bytes, with zeros behind them.
#[cold]
pub(crate) fn last_word(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_found_is_what_one_byte_at_a_time_finds(
            bytes in proptest::collection::vec(prop_oneof![Just(b'<'), 0..0x22_u8, any::<u8>(), any::<u8>()], 0..40),
            start in 0..40_usize,
            length in 0..40_usize,
        ) {
            let start = start.min(bytes.len());
            let end = bytes.len().min(start + length);
            let slow = |fits: fn(&u8) -> bool| bytes[start..end].iter().position(fits).map_or(end, |at| start + at);
            prop_assert_eq!(find(&bytes, start, end, |word| equal(word, b'<')), slow(|b| *b == b'<'));
            prop_assert_eq!(find(&bytes, start, end, |word| below(word, 0x20)), slow(|b| *b < 0x20));
            let both = |word| equal(word, b'<') | below(word, 0x20);
            prop_assert_eq!(find(&bytes, start, end, both), slow(|b| *b == b'<' || *b < 0x20));
        }
    }
}
