//! Timestamps and durations: RFC 3339 in, RFC 3339 out, and the civil calendar in between.
//! Zones are UTC or a fixed offset; there is no database of named zones.

use std::fmt;

use crate::civil::{civil_from_days, days_from_civil, month_days};
use crate::failure::Mishap;

const NANOS: i128 = 1_000_000_000;
const DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the specification's range.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
/// Ten thousand years, the specification's range.
const MAX_SECONDS: i64 = 315_576_000_000;

/// A point in time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    pub seconds: i64,
    pub nanos: u32,
}

/// A length of time; `nanos` has the sign of the whole, rounded down: -1.5 s is -2 s + 0.5e9 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Duration {
    pub seconds: i64,
    pub nanos: u32,
}

/// `(seconds, nanoseconds)` with the second part never negative.
fn split(nanos: i128) -> Option<(i64, u32)> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    u32::try_from(nanos.rem_euclid(NANOS)).ok().map(|rest| (seconds, rest))
}

fn join(seconds: i64, nanos: u32) -> i128 {
    i128::from(seconds) * NANOS + i128::from(nanos)
}

impl Timestamp {
    pub fn from_seconds(seconds: i64) -> Result<Timestamp, Mishap> {
        Self::checked(join(seconds, 0))
    }

    /// Milliseconds since the epoch; a time beyond the year 9999 is its last second.
    pub fn from_millis(millis: u64) -> Timestamp {
        let last = Timestamp { seconds: LAST_SECOND, nanos: 0 };
        Self::checked(i128::from(millis) * 1_000_000).unwrap_or(last)
    }

    fn checked(nanos: i128) -> Result<Timestamp, Mishap> {
        match split(nanos) {
            Some((seconds, nanos)) if (FIRST_SECOND..=LAST_SECOND).contains(&seconds) => {
                Ok(Timestamp { seconds, nanos })
            }
            _ => Err(Mishap::failed("a timestamp outside the years 1 to 9999")),
        }
    }

    pub fn plus(self, duration: Duration) -> Result<Timestamp, Mishap> {
        Self::checked(join(self.seconds, self.nanos) + duration.total())
    }

    pub fn minus(self, duration: Duration) -> Result<Timestamp, Mishap> {
        Self::checked(join(self.seconds, self.nanos) - duration.total())
    }

    pub fn since(self, other: Timestamp) -> Result<Duration, Mishap> {
        Duration::checked(join(self.seconds, self.nanos) - join(other.seconds, other.nanos))
    }

    /// RFC 3339: `2024-02-29T12:30:00.5+01:00`.
    pub fn parse(text: &str) -> Result<Timestamp, Mishap> {
        let wrong = || {
            Mishap::failed(format!(
                "timestamp() takes RFC 3339 such as 2024-02-29T12:30:00Z, not \"{}\"",
                shortened(text)
            ))
        };
        let bytes = text.as_bytes();
        let shape = bytes.len() >= 20
            && [4, 7].iter().all(|at| bytes[*at] == b'-')
            && bytes[10] == b'T'
            && [13, 16].iter().all(|at| bytes[*at] == b':');
        if !shape {
            return Err(wrong());
        }
        let field = |from: usize, to: usize| digits(&bytes[from..to]).ok_or_else(wrong);
        let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        let (nanos, zone) = fraction(&bytes[19..]).ok_or_else(wrong)?;
        let offset = if zone == b"Z" { 0 } else { signed_offset(zone).ok_or_else(wrong)? };
        let valid = (1..=12).contains(&month) && day >= 1 && day <= month_days(year, month);
        if !valid || hour > 23 || minute > 59 || second > 59 {
            return Err(wrong());
        }
        let seconds = days_from_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
        Self::checked(join(seconds, nanos))
    }

    /// The calendar's parts at `offset` seconds east of UTC.
    pub fn civil(self, offset: i64) -> Civil {
        let local = self.seconds + offset;
        let days = local.div_euclid(DAY);
        let second_of_day = local.rem_euclid(DAY);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            day_of_week: (days + 4).rem_euclid(7),
            day_of_year: days - days_from_civil(year, 1, 1),
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            millisecond: i64::from(self.nanos / 1_000_000),
        }
    }
}

/// A timestamp on the calendar. Months and days count from 1, days of week and year from 0.
pub(crate) struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub day_of_week: i64,
    pub day_of_year: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub millisecond: i64,
}

impl Duration {
    fn total(self) -> i128 {
        join(self.seconds, self.nanos)
    }

    fn checked(nanos: i128) -> Result<Duration, Mishap> {
        match split(nanos) {
            Some((seconds, nanos)) if nanos_in_range(seconds, nanos) => Ok(Duration { seconds, nanos }),
            _ => Err(Mishap::failed("a duration beyond 10,000 years")),
        }
    }

    pub fn plus(self, other: Duration) -> Result<Duration, Mishap> {
        Self::checked(self.total() + other.total())
    }

    pub fn minus(self, other: Duration) -> Result<Duration, Mishap> {
        Self::checked(self.total() - other.total())
    }

    /// Whole units of `nanos_per_unit`, rounded towards zero.
    pub fn whole(self, nanos_per_unit: i128) -> i64 {
        i64::try_from(self.total() / nanos_per_unit).unwrap_or(i64::MAX)
    }

    /// The milliseconds beside the whole seconds, as the specification has it.
    pub fn milliseconds(self) -> i64 {
        i64::try_from(self.total() % NANOS / 1_000_000).unwrap_or(0)
    }

    /// As Go writes it: `1h30m`, `-1.5s`, `250ms`, `0`.
    pub fn parse(text: &str) -> Result<Duration, Mishap> {
        let wrong =
            || Mishap::failed(format!("duration() takes a text such as 1h30m or 1.5s, not \"{}\"", shortened(text)));
        let (sign, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        if rest == "0" {
            return Ok(Duration { seconds: 0, nanos: 0 });
        }
        if rest.is_empty() {
            return Err(wrong());
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (amount, tail) = rest.split_at(end);
            let (unit, tail) = unit(tail).ok_or_else(wrong)?;
            total = scaled(amount, unit).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
            rest = tail;
        }
        Self::checked(sign * total)
    }
}

fn nanos_in_range(seconds: i64, nanos: u32) -> bool {
    join(seconds, nanos).abs() <= i128::from(MAX_SECONDS) * NANOS
}

/// Nanoseconds of one unit, and what follows its name.
fn unit(text: &str) -> Option<(i128, &str)> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", NANOS),
        ("m", 60 * NANOS),
        ("h", 3600 * NANOS),
    ];
    UNITS.iter().find_map(|(name, nanos)| text.strip_prefix(name).map(|rest| (*nanos, rest)))
}

/// `amount` units; digits below a nanosecond are cut off.
fn scaled(amount: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 18 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let kept = &fraction[..fraction.len().min(18)];
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let scale = 10_i128.pow(u32::try_from(kept.len()).ok()?);
    Some(whole * unit + part * unit / scale)
}

/// Seconds east of UTC for a getter's zone: `UTC`, `+02:00`, `-08:00`, `02:00`.
pub(crate) fn zone_offset(zone: &str) -> Result<i64, Mishap> {
    if matches!(zone, "UTC" | "Z") {
        return Ok(0);
    }
    let signed = if zone.starts_with(['+', '-']) { zone.to_owned() } else { format!("+{zone}") };
    signed_offset(signed.as_bytes()).ok_or_else(|| {
        Mishap::failed(format!(
            "the time zone \"{}\" is not supported; use UTC or an offset such as +02:00",
            shortened(zone)
        ))
    })
}

fn signed_offset(text: &[u8]) -> Option<i64> {
    let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    let seconds = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
    Some(if *sign == b'-' { -seconds } else { seconds })
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// Nanoseconds of an optional `.123`, and the zone behind it.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 9 {
        return None;
    }
    let value = digits(&rest[..length])? * 10_i64.pow(u32::try_from(9 - length).ok()?);
    Some((u32::try_from(value).ok()?, &rest[length..]))
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

/// The fraction of a second without its trailing zeros, point included; empty for none.
fn decimals(nanos: u32) -> String {
    if nanos == 0 { String::new() } else { format!(".{nanos:09}").trim_end_matches('0').to_owned() }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil(0);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z", decimals(self.nanos))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let sign = if total < 0 { "-" } else { "" };
        let (seconds, nanos) = split(total.abs()).unwrap_or_default();
        write!(f, "{sign}{seconds}{}s", decimals(nanos))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (text, seconds, written) in [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2009-02-13T23:31:30Z", 1_234_567_890, "2009-02-13T23:31:30Z"),
            ("2024-02-29T12:30:00.5+01:00", 1_709_206_200, "2024-02-29T11:30:00.5Z"),
            ("0001-01-01T00:00:00Z", FIRST_SECOND, "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", LAST_SECOND, "9999-12-31T23:59:59.999999999Z"),
        ] {
            let parsed = Timestamp::parse(text).unwrap();
            assert_eq!((parsed.seconds, parsed.to_string().as_str()), (seconds, written), "{text}");
        }
        for wrong in [
            "",
            "2024",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "0000-01-01T00:00:00Z",
            "2024-01-01T00:00:00+1:00",
            "2024-13-01T00:00:00Z",
            "é024-01-01T00:00:00Z",
        ] {
            assert!(Timestamp::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (text, written) in [
            ("1h30m", "5400s"),
            ("-1.5s", "-1.5s"),
            ("250ms", "0.25s"),
            ("0", "0s"),
            ("1us1ns", "0.000001001s"),
            ("+.5m", "30s"),
            ("1000000s", "1000000s"),
        ] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), written, "{text}");
        }
        for wrong in [
            "",
            "1",
            "s",
            "-",
            "1x",
            "1.2.3s",
            ".s",
            "320000000000s",
            "-320000000000s",
            "999999999999999999999h",
            "1h ",
        ] {
            assert!(Duration::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in FIRST_SECOND..=LAST_SECOND, nanos in 0_u32..1_000_000_000, length in -MAX_SECONDS..MAX_SECONDS) {
            let time = Timestamp { seconds, nanos };
            prop_assert_eq!(Timestamp::parse(&time.to_string()).unwrap(), time);
            let duration = Duration { seconds: length, nanos };
            prop_assert_eq!(Duration::parse(&duration.to_string()).unwrap(), duration);
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (Timestamp::parse(&text), Duration::parse(&text), zone_offset(&text));
        }
    }
}
