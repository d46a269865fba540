//! What one shard's server allows.

use std::time::Duration;

/// Timeouts end up to a quarter of the shortest of the three later than they say.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Open connections; for one more, an idle one ends, else it is answered 503 and closed. One peer has three
    /// quarters of them at most.
    pub max_connections: usize,
    /// Requests being read, queued, or waiting for `settle`; one more is answered 503.
    pub max_in_flight: usize,
    /// Bytes of their bodies together; no body is larger than three quarters of it.
    pub max_in_flight_bytes: usize,
    /// Request line and headers, bytes. There may be 100 headers.
    pub max_header_bytes: usize,
    /// From the first byte of a request to the last of its headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the last byte of the body, beside what `least_body_rate` gives.
    pub body_timeout: Duration,
    /// A body has a second more for each so many bytes of it that have arrived.
    pub least_body_rate: usize,
    /// Between two requests of one connection.
    pub idle_timeout: Duration,
    /// How long a sender waits for `settle` before it is told 503; to within a tenth.
    pub settle_timeout: Duration,
}

impl Default for SourceOptions {
    fn default() -> Self {
        SourceOptions {
            max_connections: 4096,
            max_in_flight: 8192,
            max_in_flight_bytes: 96 << 20,
            max_header_bytes: 16 << 10,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            least_body_rate: 64 << 10,
            idle_timeout: Duration::from_secs(75),
            settle_timeout: Duration::from_secs(30),
        }
    }
}
