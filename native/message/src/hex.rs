//! Hex digits, for what is written for each message.

/// Those of four bytes, worked out beside each other in one word.
#[must_use]
#[inline]
pub fn hex(bytes: [u8; 4]) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let packed = u64::from(u32::from_le_bytes(bytes));
    let halves = (packed | packed << 16) & 0x0000_ffff_0000_ffff;
    let spread = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread >> 4 | spread << 8) & (ONES * 0x0f);
    let is_letter = ((nibbles + ONES * 6) >> 4) & ONES;
    (nibbles + ONES * u64::from(b'0') + is_letter * u64::from(b'a' - b'9' - 1)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_hex_digits_at_every_place() {
        for byte in 0..=u8::MAX {
            let bytes = [byte, !byte, byte.rotate_left(4), 0x9a];
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex(bytes), digits.as_bytes());
        }
    }
}
