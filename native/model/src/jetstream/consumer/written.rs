//! What of a consumer's state has reached the server's files, which a kill leaves.
//!
//! The server writes a changed state at once, but not within 100 ms of the last time. Here a write is made up for
//! before the next change: the state has been the same since it was due.

use super::saved::Saved;

const PAUSE: u64 = 100_000_000;

#[derive(Debug)]
pub struct Written {
    state: Saved,
    last_ns: u64,
    /// The first change after the last write, as far as it is known.
    changed_ns: u64,
}

impl Written {
    #[must_use]
    pub fn new(saved: &Saved, now: u64) -> Written {
        Written { state: saved.clone(), last_ns: now, changed_ns: now }
    }

    /// Called before each change: writes `saved` if that was due by now.
    pub fn catch_up(&mut self, saved: &Saved, now: u64) {
        let due = self.changed_ns.max(self.last_ns + PAUSE);
        if now > due {
            if self.state != *saved {
                self.state = saved.clone();
                self.last_ns = due;
            }
            self.changed_ns = now;
        }
    }

    #[must_use]
    pub fn state(&self) -> &Saved {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_change_is_lost_for_100_ms() {
        let mut saved = Saved::default();
        let mut written = Written::new(&saved, 0);
        written.catch_up(&saved, 10 * MS);
        saved.on_delivered(1, 1, 1, 0, -1);
        written.catch_up(&saved, 90 * MS);
        assert_eq!(written.state().delivered.consumer, 0);
        saved.on_delivered(2, 2, 1, 0, -1);
        written.catch_up(&saved, 120 * MS);
        assert_eq!(written.state().delivered.consumer, 2);
        saved.on_delivered(3, 3, 1, 0, -1);
        written.catch_up(&saved, 190 * MS);
        assert_eq!(written.state().delivered.consumer, 2);
    }
}
