//! One pull consumer, and what it was asked for.

use std::time::Duration;

use nats::jetstream::{self, PullRequest};

use super::Feed;

/// Messages of one request at most. Below 128 the server's rate falls (measured).
pub(super) const MAX_BATCH: i64 = 512;
/// What an out that fails again has in hand at most is twice this.
pub(super) const MAX_PARKED_BATCH: i64 = 128;
pub(super) const REQUESTS: i64 = 2;
pub(super) const EXPIRES_SECONDS: u64 = 30;
/// Without a sign of life for this long, the credit is taken for lost.
pub(super) const SILENCE_TICKS: u64 = EXPIRES_SECONDS + 5;
/// For so long messages may still come to a subscription that was ended.
pub(super) const CLOSED_TICKS: u64 = 2;

pub(super) struct Pull {
    pub feed: Feed,
    /// Where requests go.
    pub next: String,
    pub reply: String,
    pub open: bool,
    /// The tick at which it was closed for good.
    pub closed: Option<u64>,
    /// Messages of one request at most.
    pub max_batch: i64,
    /// Messages asked for and not come.
    pub credit: i64,
    /// Tick of the last sign of life.
    pub last_activity: u64,
    /// Tick before which nothing is asked for, after a refusal.
    pub not_before: u64,
}

impl Pull {
    pub fn request(&mut self, batch: i64, tick: u64, out: &mut Vec<u8>) {
        let request = PullRequest {
            batch: u32::try_from(batch).unwrap_or(1),
            expires: Duration::from_secs(EXPIRES_SECONDS),
            max_bytes: None,
            idle_heartbeat: None,
            no_wait: false,
        };
        jetstream::encode_pull(out, self.next.as_bytes(), self.reply.as_bytes(), &request);
        self.credit += batch;
        self.last_activity = self.last_activity.max(tick);
    }
}
