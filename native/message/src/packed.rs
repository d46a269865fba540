//! Numbers and texts one after the other, for bytes that only this program writes and reads.
//!
//! A number takes seven bits a byte, the lowest first (LEB128); a text follows its length. Reading never panics: bytes
//! that nobody wrote give `None`.

/// Appends a number.
#[inline]
#[allow(clippy::cast_possible_truncation)] // seven bits
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a text, with its length.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub struct Unpack<'a>(pub &'a [u8]);

impl<'a> Unpack<'a> {
    /// The next number.
    #[inline]
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The next number as a size.
    pub fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next text.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.size()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next text, of characters.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_reads_back(number in any::<u64>(), text in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            put_number(&mut out, number);
            put_bytes(&mut out, &text);
            let mut unpack = Unpack(&out);
            prop_assert_eq!((unpack.number(), unpack.bytes(), unpack.0.len()), (Some(number), Some(&*text), 0));
            for cut in 0..out.len() {
                let mut unpack = Unpack(&out[..cut]);
                prop_assert!(unpack.number().is_none() || unpack.bytes().is_none());
            }
        }

        #[test]
        fn bytes_that_nobody_wrote_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let mut unpack = Unpack(&bytes);
            while unpack.number().is_some() && unpack.bytes().is_some() {}
        }
    }
}
