//! Whether the server's answers reach us: it may take the permission to subscribe to them away while the connection
//! stays. Then nothing that needs an answer is begun, and the subscriptions are tried again.
//!
//! ```text
//! refused ─10 ticks─► both SUBs, a marker behind them ─► refused again: before the marker
//!                                                     └► the marker is back: permitted
//! ```

use nats::protocol;

use super::reply::Replies;
use super::{PUB_ACKS, Settlement};

/// Between two tries.
const RETRY_TICKS: u64 = 10;

/// Answers are refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deaf {
    /// The tick of the next try.
    retry: u64,
    /// The marker behind the last try, until the server has refused that, too.
    tried: Option<u64>,
    /// Whether markers, which come where the answers of our own streams do, are refused as well.
    markers: bool,
}

impl Settlement {
    /// The server does not permit a subscription. `None`: it is not one for answers; `true`: it is news.
    pub fn on_subscription_refused(&mut self, subject: &str) -> Option<bool> {
        let [own, users] = self.replies.wildcards();
        if subject != own && subject != users {
            return None;
        }
        let markers = subject == own || self.is_without_markers();
        if markers {
            self.pass_markers();
        }
        let before = self.deaf.replace(Deaf { retry: self.tick + RETRY_TICKS, tried: None, markers });
        Some(before.is_none())
    }

    /// Whether the server does not permit that its answers are heard.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    /// Whether no marker comes back.
    pub(super) fn is_without_markers(&self) -> bool {
        self.deaf.is_some_and(|deaf| deaf.markers)
    }

    /// Subscribes once more, when it is time.
    pub(super) fn try_to_hear(&mut self) {
        let Some(Deaf { retry, tried: None, markers }) = self.deaf else { return };
        if self.tick < retry || !self.connected {
            return;
        }
        if markers {
            // Those that were written since would be taken for the one behind this try.
            self.pass_markers();
        }
        subscribe(&self.replies, &mut self.wire);
        let tried = Some(self.fence());
        self.deaf = Some(Deaf { retry, tried, markers });
    }

    /// A marker is back.
    pub(super) fn note_hearing(&mut self) {
        let passed = self.last_marker();
        self.deaf.take_if(|deaf| deaf.tried.is_some_and(|tried| passed >= tried));
    }
}

/// Subscribes to the answers to our publishes.
pub(super) fn subscribe(replies: &Replies, out: &mut Vec<u8>) {
    for (sid, wildcard) in PUB_ACKS.into_iter().zip(replies.wildcards()) {
        protocol::encode_sub(out, wildcard.as_bytes(), b"", sid);
    }
}
