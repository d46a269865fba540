//! How fast a customer may send: the token bucket behind `limits.rate`.
//!
//! It is kept as a single instant, the time at which the bucket is full again (the "generic cell
//! rate algorithm"), so that nothing has to be refilled. The clock is passed in.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use message::{Code, Fault};

/// Messages per period, such as `5000/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    messages: u32,
    period: Duration,
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];
const MOST: u32 = 10_000_000;

impl Rate {
    /// `5000/s`, `300/m` or `10/h`; at most 10 million. `config/invalid-value` otherwise.
    pub fn parse(text: &str) -> Result<Rate, Fault> {
        let refused = || {
            Fault::new(
                Code::ConfigInvalidValue,
                format!("{text:?} is no rate; write it like `5000/s`, `300/m` or `10/h`, from 1 to {MOST}"),
            )
        };
        let (count, unit) = text.split_once('/').ok_or_else(refused)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refused());
        }
        let messages = count.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(refused)?;
        Ok(Rate { messages, period: Duration::from_secs(*seconds) })
    }

    /// Zero counts as one.
    #[must_use]
    pub fn per_second(messages: u32) -> Rate {
        Rate { messages: messages.clamp(1, MOST), period: Duration::from_secs(1) }
    }

    /// What one second brings, and at least one message: the burst when none is given.
    #[must_use]
    pub fn burst(self) -> u32 {
        u32::try_from(u64::from(self.messages) / self.period.as_secs()).unwrap_or(MOST).max(1)
    }

    /// The time `messages` take at this rate.
    fn time_for(self, messages: u32) -> Duration {
        let nanos = self.period.as_nanos() * u128::from(messages) / u128::from(self.messages);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.period.as_secs()).map_or("s", |(name, _)| name);
        write!(f, "{}/{unit}", self.messages)
    }
}

/// Full at first.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    burst: u32,
    full_at: Instant,
    /// Parts of a nanosecond that whole instants cannot hold, in units of 1/`rate.messages` ns;
    /// without them 7,000,000/s would let through 7,042,253.
    remainder: u128,
}

impl TokenBucket {
    /// `burst`: how many messages a full bucket lets through at once; 0 means `rate.burst()`.
    #[must_use]
    pub fn new(rate: Rate, burst: u32, now: Instant) -> TokenBucket {
        TokenBucket { rate, burst: if burst == 0 { rate.burst() } else { burst }, full_at: now, remainder: 0 }
    }

    /// Takes `messages` tokens, or none and says after how long they will be there. More than the
    /// burst are let through by a full bucket, and owed: otherwise they never would be.
    pub fn take(&mut self, messages: u32, now: Instant) -> Result<(), Duration> {
        let missing = self.full_at.saturating_duration_since(now);
        let room = self.rate.time_for(self.burst.saturating_sub(messages));
        if missing > room {
            return Err(missing - room);
        }
        if missing.is_zero() {
            self.full_at = now;
            self.remainder = 0;
        }
        self.owe(messages);
        Ok(())
    }

    fn owe(&mut self, messages: u32) {
        let divisor = u128::from(self.rate.messages);
        let parts = self.rate.period.as_nanos() * u128::from(messages) + self.remainder;
        self.remainder = parts % divisor;
        let nanos = u64::try_from(parts / divisor).unwrap_or(u64::MAX);
        self.full_at = self.full_at.checked_add(Duration::from_nanos(nanos)).unwrap_or(self.full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rate_is_a_count_and_a_unit() {
        for good in ["5000/s", "300/m", "10/h", "1/s", "10000000/s"] {
            assert_eq!(Rate::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "5000",
            "/s",
            "0/s",
            "-1/s",
            "+1/s",
            "5 /s",
            "5/d",
            "5/s ",
            "10000001/s",
            "99999999999/s",
            "1.5/s",
            "a/s",
        ] {
            assert_eq!(Rate::parse(bad).unwrap_err().code(), Code::ConfigInvalidValue, "{bad}");
        }
    }

    #[test]
    fn a_full_bucket_lets_the_burst_through_and_then_says_when() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Rate::per_second(10), 5, start);
        for _ in 0..5 {
            bucket.take(1, start).unwrap();
        }
        assert_eq!(bucket.take(1, start), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(3, start), Err(Duration::from_millis(300)));
        let later = start + Duration::from_millis(100);
        bucket.take(1, later).unwrap();
        assert!(bucket.take(1, later).is_err());
    }

    #[test]
    fn more_than_the_burst_passes_a_full_bucket_and_is_owed() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Rate::per_second(10), 5, start);
        bucket.take(20, start).unwrap();
        assert_eq!(bucket.take(1, start), Err(Duration::from_millis(1600)));
    }

    #[test]
    fn a_clock_that_goes_back_neither_panics_nor_gives_tokens() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(Rate::per_second(1), 1, start);
        bucket.take(1, start).unwrap();
        assert!(bucket.take(1, start - Duration::from_secs(5)).is_err());
    }

    proptest! {
        #[test]
        fn no_second_brings_more_than_burst_and_rate(rate in 1u32..MOST, burst in 1u32..1000, steps in proptest::collection::vec(0u64..50_000_000, 1..300)) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(Rate::per_second(rate), burst, start);
            let (mut now, mut passed) = (start, 0u64);
            for step in steps {
                now += Duration::from_nanos(step);
                while passed < 100_000 {
                    match bucket.take(1, now) {
                        Ok(()) => passed += 1,
                        Err(after) => {
                            prop_assert!(!after.is_zero());
                            prop_assert!(bucket.clone().take(1, now + after).is_ok());
                            break;
                        }
                    }
                }
                let most = u128::from(burst) + (now - start).as_nanos() * u128::from(rate) / 1_000_000_000 + 1;
                prop_assert!(u128::from(passed) <= most, "{passed} of {most}");
            }
        }
    }
}
