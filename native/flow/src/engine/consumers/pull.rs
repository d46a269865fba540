//! One pull consumer, and what it was asked for.

use std::time::Duration;

use nats::jetstream::{self, PullRequest};

use super::Feed;

/// Messages of one request at most. Below 128 the server's rate falls (measured).
pub const MAX_BATCH: i64 = 512;
/// What an out that fails again has in hand at most is twice this.
pub(super) const MAX_PARKED_BATCH: i64 = 128;
pub(super) const REQUESTS: i64 = 2;
/// Messages of one request to a consumer that has brought nothing lately.
pub(super) const MIN_WINDOW: i64 = 4;
pub const EXPIRES_SECONDS: u64 = 30;
/// Without a sign of life for this long, the credit is taken for lost.
pub(super) const SILENCE_TICKS: u64 = EXPIRES_SECONDS + 5;
/// For so long messages may still come to a subscription that was ended.
pub(super) const CLOSED_TICKS: u64 = 2;

/// Bytes of one request at most, where the largest message of the server is smaller: 512 messages of 8 KB.
const MIN_REQUEST_BYTES: usize = 4 << 20;
/// What subject, headers and the server's own words add to the largest payload.
const HEADROOM_BYTES: usize = 64 << 10;
/// What a message of a consumer is taken for that has brought nothing yet, bytes.
const MIN_MESSAGE_BYTES: i64 = 512;

/// Bytes of one request: never less than the largest message, which would block its lane.
pub(super) fn request_bytes(max_payload: usize) -> i64 {
    i64::try_from((max_payload + HEADROOM_BYTES).max(MIN_REQUEST_BYTES)).unwrap_or(i64::MAX)
}

pub(super) struct Pull {
    pub feed: Feed,
    pub stream: Box<str>,
    pub consumer: Box<str>,
    /// Where requests go.
    pub next: String,
    pub reply: String,
    pub open: bool,
    /// The tick at which it was closed for good.
    pub closed: Option<u64>,
    /// Messages of one request at most.
    pub max_batch: i64,
    /// The same as it has grown with what came: an idle consumer holds little of what all may ask for, so that others
    /// can be added at any time.
    pub window: i64,
    /// Messages asked for and not come.
    pub credit: i64,
    /// Bytes that may still come of what was asked for, about.
    pub reserved: i64,
    /// The largest message lately, in bytes: what the next ones may be like.
    pub largest: i64,
    /// Tick of the last sign of life.
    pub last_activity: u64,
    /// Tick before which nothing is asked for, after a refusal.
    pub not_before: u64,
}

impl Pull {
    /// Bytes that a request for so many messages is expected to bring at most: twice as much as lately, and never more
    /// than it may bring.
    pub fn reserve(&self, batch: i64, max_bytes: i64) -> i64 {
        self.largest.max(MIN_MESSAGE_BYTES).saturating_mul(2 * batch).min(max_bytes)
    }

    /// Messages of one request, where all pulls get `share`.
    #[inline]
    pub fn batch(&self, share: i64) -> i64 {
        share.min(self.max_batch).min(self.window)
    }

    pub fn request(&mut self, batch: i64, max_bytes: i64, tick: u64, out: &mut Vec<u8>) {
        let request = PullRequest {
            batch: u32::try_from(batch).unwrap_or(1),
            expires: Duration::from_secs(EXPIRES_SECONDS),
            max_bytes: u64::try_from(max_bytes).ok(),
            idle_heartbeat: None,
            no_wait: false,
        };
        jetstream::encode_pull(out, self.next.as_bytes(), self.reply.as_bytes(), &request);
        self.credit += batch;
        self.reserved += self.reserve(batch, max_bytes);
        self.last_activity = self.last_activity.max(tick);
    }

    /// A message came.
    #[inline]
    pub fn on_message(&mut self, bytes: usize, tick: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.largest = bytes.max(self.largest - self.largest / 64);
        self.window = (self.window + 1).min(MAX_BATCH);
        self.take(1, bytes);
        self.last_activity = tick;
    }

    /// So much of what was asked for has come, or will not come.
    pub fn take(&mut self, messages: i64, bytes: i64) {
        self.credit = (self.credit - messages).max(0);
        self.reserved = if self.credit == 0 { 0 } else { (self.reserved - bytes).max(0) };
    }

    /// Nothing of what was asked for will come.
    pub fn void(&mut self) {
        (self.credit, self.reserved) = (0, 0);
    }
}
