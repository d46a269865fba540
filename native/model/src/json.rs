//! JSON and times as the server, a Go program, writes them.

use serde::Serialize;

/// Go writes `<`, `>` and `&` as escapes.
#[must_use]
pub fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let text = serde_json::to_string(value).unwrap_or_default();
    // These characters stand in strings alone.
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").into_bytes()
}

/// RFC 3339 with as many digits as are needed.
#[must_use]
pub fn time(ns: u64) -> String {
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let digits = format!(".{fraction:09}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{digits}Z")
}

/// Go's zero time.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Year, month and day of a number of days since 1970, by the calendar's cycle of 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Standard base64, with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| number << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_gos() {
        assert_eq!(time(1_795_973_721_318_344_621), "2026-11-29T17:35:21.318344621Z");
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400_500_000_000), "2000-02-29T00:00:00.5Z");
    }

    #[test]
    fn text_is_escaped_and_encoded() {
        assert_eq!(to_bytes(&"a.>"), b"\"a.\\u003e\"");
        assert_eq!([base64(b""), base64(b"x"), base64(b"xy"), base64(b"xyz")], ["", "eA==", "eHk=", "eHl6"]);
    }
}
