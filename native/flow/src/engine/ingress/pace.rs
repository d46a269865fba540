//! How fast a source is read whose lane is full: fewer messages at a time and after a pause, until they are taken again.
//!
//! Additive increase and multiplicative decrease, as in TCP's congestion avoidance (RFC 5681, section 3.1): the lane
//! says only "full", and how fast it drains is for the sender to find out.

use std::time::Duration;

use tokio::time::Instant;

/// Messages in flight at most, and while the lane is full at least; by the latter the window grows.
const MAX_WINDOW: usize = 4_096;
const STEP: usize = 64;
/// Doubled while nothing is taken.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pace {
    window: usize,
    pause: Duration,
    /// When the lane is tried again.
    until: Option<Instant>,
    /// Stored since the window has grown last.
    stored: usize,
    /// Whether anything was stored since the last pause.
    is_taken: bool,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { window: MAX_WINDOW, pause: MIN_PAUSE, until: None, stored: 0, is_taken: true }
    }
}

impl Pace {
    /// Messages in flight at most.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Until when nothing more is read.
    pub(super) fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    pub(super) fn on_stored(&mut self) {
        self.is_taken = true;
        self.stored += 1;
        if self.stored >= self.window {
            self.stored = 0;
            self.window = (self.window + STEP).min(MAX_WINDOW);
        }
    }

    /// The lane was full: gives how long the message waits. Those of one burst are refused together and count once.
    pub(super) fn on_full(&mut self, now: Instant) -> Duration {
        if let Some(until) = self.pause(now) {
            return until - now;
        }
        self.pause = if self.is_taken { MIN_PAUSE } else { (self.pause * 2).min(MAX_PAUSE) };
        self.window = (self.window / 2).max(STEP);
        (self.is_taken, self.stored) = (false, 0);
        self.until = Some(now + self.pause);
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_that_is_refused_halves_the_window_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.on_full(now), MIN_PAUSE);
        assert_eq!(pace.on_full(now + Duration::from_millis(4)), Duration::from_millis(6));
        assert_eq!((pace.window(), pace.pause(now)), (MAX_WINDOW / 2, Some(now + MIN_PAUSE)));
        assert_eq!(pace.pause(now + MIN_PAUSE), None);
    }

    #[test]
    fn pauses_grow_while_nothing_is_taken_and_begin_anew_after() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pauses.push(u64::try_from(pace.on_full(now).as_millis()).unwrap());
            now = pace.pause(now).unwrap();
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert_eq!(pace.window(), STEP);
        pace.on_stored();
        assert_eq!(pace.on_full(now), MIN_PAUSE);
    }

    #[test]
    fn the_window_grows_by_a_step_for_each_window_that_is_stored_up_to_its_bound() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.on_full(now);
        for _ in 0..MAX_WINDOW / 2 {
            pace.on_stored();
        }
        assert_eq!(pace.window(), MAX_WINDOW / 2 + STEP);
        for _ in 0..200 * MAX_WINDOW {
            pace.on_stored();
        }
        assert_eq!(pace.window(), MAX_WINDOW);
    }
}
