//! The digits of a JSON number, read as CEL's int or double, and numbers of different types
//! compared by what they are worth, without rounding.

use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

/// Integer text that fits is an int; everything else is the nearest double. `digits` is a JSON
/// number; the tape holds nothing else.
#[inline]
pub(crate) fn read(digits: &[u8]) -> Number {
    let (negative, unsigned) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    short(negative, unsigned).unwrap_or_else(|| long(digits))
}

/// Up to 15 digits with up to 15 behind the point: the quotient of two exact doubles is the
/// nearest double (Clinger 1990), and no general parser is needed.
#[inline]
fn short(negative: bool, unsigned: &[u8]) -> Option<Number> {
    const EXACT_DIGITS: usize = 15;
    const POWERS: [f64; EXACT_DIGITS + 1] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if unsigned.len() > EXACT_DIGITS + 1 {
        return None;
    }
    let mut value: i64 = 0;
    let mut fraction = None;
    for (position, byte) in unsigned.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' => fraction = Some(unsigned.len() - position - 1),
            _ => return None,
        }
    }
    let value = if negative { -value } else { value };
    Some(match fraction {
        None if unsigned.len() > EXACT_DIGITS => return None,
        None => Number::Int(value),
        // "-0.0" keeps its sign.
        Some(_) if value == 0 => Number::Double(if negative { -0.0 } else { 0.0 }),
        #[allow(clippy::cast_precision_loss)] // at most 15 digits
        Some(places) => Number::Double(value as f64 / POWERS[places]),
    })
}

#[cold]
fn long(digits: &[u8]) -> Number {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    match text.parse() {
        Ok(int) => Number::Int(int),
        // A JSON number always parses; what is beyond the largest double reads as infinity.
        Err(_) => Number::Double(text.parse().unwrap_or(f64::NAN)),
    }
}

/// `None` when `right` is not a number.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // bounds are checked first
pub(crate) fn compare_int(left: i64, right: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if right.is_nan() {
        None
    } else if right >= TWO_63 {
        Some(Ordering::Less)
    } else if right < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        let whole = right.trunc();
        let by_whole = left.cmp(&(whole as i64));
        Some(by_whole.then_with(|| 0.0_f64.partial_cmp(&(right - whole)).unwrap_or(Ordering::Equal)))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounds are checked first
pub(crate) fn compare_uint(left: u64, right: f64) -> Option<Ordering> {
    const TWO_64: f64 = 18_446_744_073_709_551_616.0;
    if right.is_nan() {
        None
    } else if right >= TWO_64 {
        Some(Ordering::Less)
    } else if right < 0.0 {
        Some(Ordering::Greater)
    } else {
        let whole = right.trunc();
        let by_whole = left.cmp(&(whole as u64));
        Some(by_whole.then_with(|| 0.0_f64.partial_cmp(&(right - whole)).unwrap_or(Ordering::Equal)))
    }
}

pub(crate) fn compare_signs(left: i64, right: u64) -> Ordering {
    u64::try_from(left).map_or(Ordering::Less, |left| left.cmp(&right))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integer_text_that_fits_is_an_int() {
        for (text, number) in [
            ("0", Number::Int(0)),
            ("-0", Number::Int(0)),
            ("150", Number::Int(150)),
            ("-9223372036854775808", Number::Int(i64::MIN)),
            ("9223372036854775807", Number::Int(i64::MAX)),
            ("9223372036854775808", Number::Double(9_223_372_036_854_775_808.0)),
            ("1.0", Number::Double(1.0)),
            ("1e2", Number::Double(100.0)),
            ("0.1", Number::Double(0.1)),
            ("1e999", Number::Double(f64::INFINITY)),
        ] {
            assert_eq!(read(text.as_bytes()), number, "{text}");
        }
        assert!(matches!(read(b"-0.0"), Number::Double(zero) if zero.is_sign_negative()));
    }

    proptest! {
        #[test]
        fn doubles_are_the_nearest(value in any::<f64>().prop_filter("JSON", |v| v.is_finite()), places in 0_usize..12) {
            for text in [value.to_string(), format!("{value:e}"), format!("{value:.places$}")] {
                let expected = text.parse::<i64>().map_or_else(|_| Number::Double(text.parse().unwrap()), Number::Int);
                prop_assert_eq!(read(text.as_bytes()), expected, "{}", text);
            }
        }

        #[test]
        fn ints_are_read_as_they_stand(value in any::<i64>()) {
            prop_assert_eq!(read(value.to_string().as_bytes()), Number::Int(value));
        }

        #[test]
        fn comparing_agrees_with_wide_integers(int in any::<i64>(), shift in -2_i64..3) {
            let near = int as f64;
            let exact = (near as i128).cmp(&i128::from(int)).reverse();
            prop_assert_eq!(compare_int(int, near), Some(exact));
            let small = int % 1000;
            prop_assert_eq!(compare_int(small, (small + shift) as f64 + 0.5), Some(small.cmp(&(small + shift)).then(Ordering::Less)));
        }
    }
}
