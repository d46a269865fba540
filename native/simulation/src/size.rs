//! How large messages may be, and which of a simulation are large.

use crate::story::Story;

const MIB: u64 = 1 << 20;
/// Of headers that a message brings, and of the node's, bytes; about as many as there are.
const HEADERS: u64 = 400;
/// So many messages of a simulation are large, about.
const LARGE: u64 = 5;

/// The server's `max_payload`, and how large the large messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Nothing is large.
    Usual,
    /// Some messages are as large as a small `max_payload`, or larger.
    Small,
    /// Some take the way of large payloads: `engine/steps/large/`.
    Large,
}

impl Sizes {
    #[must_use]
    pub fn choose(story: &Story) -> Sizes {
        match story.random(0..40) {
            0..=2 => Sizes::Small,
            3..=4 => Sizes::Large,
            _ => Sizes::Usual,
        }
    }

    #[must_use]
    pub fn max_payload(self) -> usize {
        match self {
            Sizes::Usual => 1 << 20,
            Sizes::Small => 16 << 10,
            Sizes::Large => 2 << 20,
        }
    }

    /// How large a message of so many is to be; nothing for one as it comes.
    pub fn of_message(self, story: &Story, count: u64) -> Option<usize> {
        if self == Sizes::Usual || !story.one_in(count.div_ceil(LARGE)) {
            return None;
        }
        let most = self.max_payload() as u64;
        let least = if self == Sizes::Large { MIB + 1 } else { most / 2 };
        let size = match story.random(0..3) {
            0 => story.random(least..most - HEADERS),
            // With headers it does not fit everywhere.
            1 => story.random(most - HEADERS..most),
            _ => story.random(most..most + HEADERS),
        };
        usize::try_from(size).ok()
    }
}
