//! How messages are asked for: where requests go, and how large they are.

use nats::jetstream::Api;

use super::Consumers;

impl Consumers {
    /// Where JetStream's API listens; before a pull consumer is added.
    pub fn set_api(&mut self, api: Api) {
        self.api = api;
    }

    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Whether messages of this stream are asked for, by a pull that is open.
    #[must_use]
    pub fn has_stream(&self, stream: &str) -> bool {
        self.pulls.values().any(|pull| *pull.stream == *stream && pull.closed.is_none())
    }

    /// Messages of one request at most.
    pub fn set_batch(&mut self, number: u64, batch: i64) {
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.max_batch = batch.max(1);
        }
    }
}
