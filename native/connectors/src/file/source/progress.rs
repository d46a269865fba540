//! How far a file has come: where its first message begins that is not stored, and which ones behind that are.
//!
//! A lane that is full refuses some messages of a burst and takes others, so that what is stored has gaps. They are written
//! down, too: a stop in such a moment would otherwise have the messages behind the first gap published once more.

use std::collections::{BTreeMap, BTreeSet};

use super::trail::Check;

/// Messages that begin in there, the end left out, are stored.
pub(super) type Run = (u64, u64);

/// Where a file is read up to, and what stands before that ([`super::trail`]), where it is known.
pub(super) type Place = (u64, Option<Check>);

/// What a restart goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything before is stored.
    pub(super) offset: u64,
    /// Of what stands before that; none where an earlier build has read it.
    pub(super) check: Option<Check>,
    /// Read and not settled.
    pub(super) open: usize,
    /// What is stored behind the first of those, in order.
    pub(super) stored: Vec<Run>,
    /// Up to where it is read.
    pub(super) read: u64,
}

/// The messages of one file that the inbox has.
#[derive(Default)]
pub(super) struct Messages {
    /// Where those begin that are not stored, with what stands before.
    open: BTreeMap<u64, Check>,
    /// Where runs of stored ones begin. Each goes to the next that is open, or to the end of what is read. Those before the
    /// first that is open are none, and no two follow each other, so that there are no more of them than are open.
    runs: BTreeSet<u64>,
    read: u64,
    /// What stands before that.
    check: Option<Check>,
}

impl Messages {
    /// More is read, up to `end`: messages that are open, and the starts of runs that were stored earlier.
    pub(super) fn on_read(&mut self, end: Place, open: impl Iterator<Item = (u64, Check)>, stored: &[u64]) {
        (self.read, self.check) = end;
        self.open.extend(open);
        for start in stored {
            self.add_run(*start);
        }
    }

    pub(super) fn on_stored(&mut self, start: u64) {
        if self.open.remove(&start).is_some() {
            self.add_run(start);
        }
    }

    fn add_run(&mut self, start: u64) {
        let Some((before, _)) = self.open.range(..start).next_back() else {
            // Everything before is stored; so is what comes up to the first that is open.
            let first = self.open.first_key_value();
            self.runs = first.map_or_else(BTreeSet::new, |(first, _)| self.runs.split_off(first));
            return;
        };
        let after = self.open.range(start..).next().map_or(u64::MAX, |(after, _)| *after);
        let joined: Vec<u64> = self.runs.range(*before..after).copied().collect();
        for run in &joined {
            self.runs.remove(run);
        }
        self.runs.insert(joined.first().copied().unwrap_or(start).min(start));
    }

    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn progress(&self) -> Progress {
        let end = |start| self.open.range(start..).next().map_or(self.read, |(end, _)| *end);
        let first = self.open.first_key_value();
        let (offset, check) = first.map_or((self.read, self.check), |(offset, check)| (*offset, Some(*check)));
        Progress {
            offset,
            check,
            open: self.open.len(),
            stored: self.runs.iter().map(|start| (*start, end(*start))).collect(),
            read: self.read,
        }
    }
}

impl Progress {
    /// What is stored behind `offset`, when `before` was stored as it was read up to here: what is not read yet stays so.
    pub(super) fn with_rest_of(&self, before: &[Run]) -> Vec<Run> {
        let rest =
            before.iter().filter(|(_, end)| *end > self.read).map(|(start, end)| ((*start).max(self.read), *end));
        self.stored.iter().copied().chain(rest).collect()
    }
}

/// Whether the message that begins at `start` is stored. `runs` are in order.
pub(super) fn is_stored(runs: &[Run], start: u64) -> bool {
    let next = runs.partition_point(|(from, _)| *from <= start);
    next.checked_sub(1).is_some_and(|at| start < runs[at].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message for each 10 bytes.
    fn starts(range: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        range.map(|at| at * 10)
    }

    /// What stands before a place.
    fn check(at: u64) -> Check {
        Check { near: at + 1, all: Some(at / 20) }
    }

    fn read(messages: &mut Messages, end: u64, open: impl Iterator<Item = u64>, stored: &[u64]) {
        messages.on_read((end, Some(check(end))), open.map(|at| (at, check(at))), stored);
    }

    fn progress(offset: u64, open: usize, stored: Vec<Run>, read: u64) -> Progress {
        Progress { offset, check: Some(check(offset)), open, stored, read }
    }

    #[test]
    fn what_is_stored_in_order_leaves_no_runs() {
        let mut messages = Messages::default();
        read(&mut messages, 40, starts(0..4), &[]);
        for start in starts(0..3) {
            messages.on_stored(start);
            assert!(messages.runs.is_empty());
        }
        assert_eq!(messages.progress(), progress(30, 1, vec![], 40));
    }

    #[test]
    fn runs_are_joined_when_the_gap_between_them_is_stored() {
        let mut messages = Messages::default();
        read(&mut messages, 60, starts(0..6), &[]);
        for start in [10, 30, 50] {
            messages.on_stored(start);
        }
        assert_eq!(messages.progress().stored, [(10, 20), (30, 40), (50, 60)]);
        messages.on_stored(20);
        assert_eq!(messages.progress().stored, [(10, 40), (50, 60)]);
        messages.on_stored(0);
        assert_eq!(messages.progress(), progress(40, 1, vec![(50, 60)], 60));
    }

    proptest! {
        /// Stops at any time, and reads at any pace: what is stored never comes again, and what is not always does.
        #[test]
        fn each_message_is_stored_once_over_any_stops(
            turns in prop::collection::vec((1_u64..9, prop::collection::vec(any::<prop::sample::Index>(), 0..9), any::<bool>()), 0..40),
        ) {
            const COUNT: u64 = 60;
            let (mut offset, mut runs) = (0, Vec::new());
            let (mut messages, mut at, mut stored) = (Messages::default(), 0, BTreeSet::new());
            for (more, settled, stops) in turns {
                let next: Vec<u64> = starts(at / 10..(at / 10 + more).min(COUNT)).collect();
                let (skipped, open): (Vec<u64>, Vec<u64>) = next.iter().partition(|start| is_stored(&runs, **start));
                at = (at + more * 10).min(COUNT * 10);
                for start in &skipped {
                    prop_assert!(stored.contains(start), "{start} is passed over and not stored");
                }
                for start in &open {
                    prop_assert!(!stored.contains(start), "{start} comes again");
                }
                read(&mut messages, at, open.into_iter(), &skipped);
                for index in settled {
                    let open: Vec<u64> = messages.open.keys().copied().collect();
                    if !open.is_empty() {
                        let start = open[index.index(open.len())];
                        messages.on_stored(start);
                        stored.insert(start);
                    }
                }
                prop_assert!(messages.runs.len() <= messages.open.len());
                let progress = messages.progress();
                prop_assert_eq!(progress.check, Some(check(progress.offset)));
                (offset, runs) = (progress.offset, progress.with_rest_of(&runs));
                if stops {
                    (messages, at) = (Messages::default(), offset);
                }
            }
            let expected: BTreeSet<u64> = starts(0..COUNT).filter(|start| *start < offset || is_stored(&runs, *start)).collect();
            prop_assert_eq!(stored, expected);
        }
    }
}
