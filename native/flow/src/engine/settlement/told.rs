//! What an outcome is for where its input came from: a NAK's delay, a source's answer.

use std::time::Duration;

use connectors::Settled;
use nats::jetstream::AckReply;

use super::Outcome;

/// A delay grows with every delivery to this many times what it was at first, and to this long.
const MAX_DELAY_FACTOR: u32 = 20;
const MAX_DELAY: Duration = Duration::from_secs(30);

/// A message that comes back again and again comes less and less often: what it waits for takes time.
pub(super) fn growing(delay: Duration, ack_subject: &[u8]) -> Duration {
    let delivered = AckReply::parse(ack_subject).map_or(1, |ack| ack.delivered);
    let times = u32::try_from(delivered).unwrap_or(u32::MAX).clamp(1, MAX_DELAY_FACTOR);
    delay.saturating_mul(times).min(MAX_DELAY.max(delay))
}

pub(super) fn answer(token: &[u8], outcome: Outcome) -> Settled {
    match outcome {
        Outcome::Ok => Settled::Stored { id: String::from_utf8_lossy(token).into() },
        Outcome::Retry(after, fault) => {
            let retry_after = fault.code().retryable().then(|| after.max(Duration::from_secs(1)));
            Settled::Refused { fault, retry_after }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_again_and_again_waits_longer_each_time_up_to_a_bound() {
        let seconds = |delay: u64, delivered: u64| {
            let ack = format!("$JS.ACK.IN.orders.{delivered}.7.9.1700000000000000000.3");
            growing(Duration::from_secs(delay), ack.as_bytes()).as_secs()
        };
        assert_eq!([1, 2, 19, 20, 21, 1_000_000].map(|times| seconds(1, times)), [1, 2, 19, 20, 20, 20]);
        assert_eq!([1, 2, 3, 4, 20].map(|times| seconds(10, times)), [10, 20, 30, 30, 30]);
        // One that was asked for is never shortened.
        assert_eq!(seconds(60, 5), 60);
        assert_eq!(growing(Duration::from_secs(1), b"no ack subject"), Duration::from_secs(1));
    }
}
