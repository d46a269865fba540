//! Publishes to core NATS. Nobody confirms them, but the server answers in order: its refusal of a publish comes before
//! whatever is published later comes back. So a burst of them ends with a marker to ourselves, unless one is on its way:
//! then the next follows when that is back, and a busy node is not woken once more for each burst.
//!
//! ```text
//! publish, publish, marker ─► server ─► -ERR for a refused subject ─► marker: the others are delivered
//! UNSUB, marker            ─► server ─► what it had sent before      ─► marker: nothing more comes
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::{Effect, Settlement};
use crate::engine::message::RevisionId;
use crate::engine::observe::Event;

/// While a subject is refused, one message after so many ticks finds out whether it still is.
const PROBE_TICKS: u64 = 5;
/// Subjects that are refused, at most.
const MAX_REFUSED: usize = 1024;
/// Delivered events of one burst at most.
const MAX_EVENTS: usize = 32;

/// What was published for one out before a marker, and after the one before it.
#[derive(Debug)]
struct Group {
    revision: RevisionId,
    target: u32,
    subject: Box<str>,
    count: u64,
    bytes: u64,
    events: Vec<Event>,
}

/// Publishes whose marker has not come back.
#[derive(Debug, Default)]
pub(super) struct CorePublishes {
    unmarked: Vec<Group>,
    marked: VecDeque<Vec<Group>>,
    /// Markers that have come back, or never will: the connection is gone.
    passed: u64,
    /// A marker is wanted though nothing was published.
    is_fenced: bool,
    /// Subjects that the server refuses, and the tick of the next probe.
    refused: BTreeMap<Box<str>, u64>,
}

/// Whose publish it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreOut<'a> {
    pub revision: RevisionId,
    pub target: u32,
    pub subject: &'a str,
}

impl CorePublishes {
    /// Whether a message has to wait because its subject is refused.
    pub fn must_wait(&mut self, subject: &str, tick: u64) -> bool {
        match self.refused.get_mut(subject) {
            Some(probe) if tick < *probe => true,
            Some(probe) => {
                *probe = tick + PROBE_TICKS;
                false
            }
            None => false,
        }
    }

    /// A new connection may be permitted more: the first message to a subject finds out, while the others wait. What
    /// the JetStream API has refused is asked again anyway.
    fn ask_again(&mut self, tick: u64) {
        self.refused.retain(|subject, _| !subject.starts_with('$'));
        self.refused.values_mut().for_each(|probe| *probe = tick);
    }

    /// Whether any subject is refused.
    pub fn refuses_any(&self) -> bool {
        !self.refused.is_empty()
    }

    pub fn add(&mut self, out: CoreOut<'_>, bytes: usize, event: impl FnOnce() -> Option<Event>) {
        let is_same = |group: &Group| group.revision == out.revision && group.target == out.target;
        let index = self.unmarked.iter().position(is_same).unwrap_or_else(|| {
            let (revision, target, subject) = (out.revision, out.target, out.subject.into());
            self.unmarked.push(Group { revision, target, subject, count: 0, bytes: 0, events: Vec::new() });
            self.unmarked.len() - 1
        });
        let group = &mut self.unmarked[index];
        (group.count, group.bytes) = (group.count + 1, group.bytes + bytes as u64);
        if group.events.len() < MAX_EVENTS {
            group.events.extend(event());
        }
    }

    /// Whether a marker is due: one is wanted, or there is something to mark and no marker on its way.
    pub fn mark(&mut self) -> bool {
        let has_some = !self.unmarked.is_empty() && self.marked.is_empty();
        let is_due = std::mem::take(&mut self.is_fenced) || has_some;
        if is_due {
            self.marked.push_back(std::mem::take(&mut self.unmarked));
        }
        is_due
    }

    /// The server refuses a subject. Gives whose publishes are lost with the oldest marker; `true`: it is news.
    fn refuse(&mut self, subject: &str, tick: u64) -> (bool, Vec<Group>) {
        if self.refused.len() >= MAX_REFUSED {
            self.refused.clear();
        }
        let is_news = self.refused.insert(subject.into(), tick + PROBE_TICKS).is_none();
        let sent = self.marked.iter_mut().chain(std::iter::once(&mut self.unmarked));
        let oldest = sent.into_iter().find(|groups| groups.iter().any(|group| *group.subject == *subject));
        let lost = oldest.map(|groups| groups.extract_if(.., |group| *group.subject == *subject).collect());
        (is_news, lost.unwrap_or_default())
    }

    fn has(&self, revision: RevisionId) -> bool {
        self.marked.iter().flatten().chain(&self.unmarked).any(|group| group.revision == revision)
    }

    /// Has the next marker written in any case. Gives its number.
    fn fence(&mut self) -> u64 {
        self.is_fenced = true;
        self.passed + self.marked.len() as u64 + 1
    }

    /// The oldest marker is back.
    fn confirm(&mut self) -> Vec<Group> {
        self.passed += 1;
        let delivered = self.marked.pop_front().unwrap_or_default();
        if !self.refused.is_empty() {
            delivered.iter().for_each(|group| {
                self.refused.remove(&group.subject);
            });
        }
        delivered
    }
}

impl Settlement {
    /// Ends a burst of publishes to core NATS.
    pub fn mark_core(&mut self) {
        if self.connected && self.core.mark() {
            self.replies.write_marker(&mut self.wire);
        }
    }

    /// Has a marker written behind this burst. Gives its number; without a connection there is nothing to wait for.
    pub fn fence(&mut self) -> u64 {
        if self.connected { self.core.fence() } else { self.core.passed }
    }

    /// The number of the last marker that is back.
    #[must_use]
    pub fn last_marker(&self) -> u64 {
        self.core.passed
    }

    /// Whether publishes of a revision wait for their marker.
    #[must_use]
    pub fn waits_for_marker(&self, revision: RevisionId) -> bool {
        self.core.has(revision)
    }

    /// The marker has come back: what was published before it and was not refused is delivered.
    pub(super) fn on_marker(&mut self) {
        self.pass_marker();
        self.note_hearing();
    }

    fn pass_marker(&mut self) {
        for group in self.core.confirm() {
            let Group { revision, count, bytes, events, .. } = group;
            self.effects.push(Effect::DeliveredCore { revision, count, bytes });
            for event in events {
                self.events.push(|| event);
            }
        }
    }

    /// The server does not permit a publish. `true` when that is news about its subject.
    pub fn on_publish_refused(&mut self, subject: &str) -> bool {
        if self.replies.is_marker(subject) {
            self.on_marker();
            return false;
        }
        let (is_news, lost) = self.core.refuse(subject, self.tick);
        for Group { revision, target, count, .. } in lost {
            self.effects.push(Effect::LostCore { revision, target, count });
        }
        is_news
    }

    /// Whether the server has refused a publish to a subject that begins like this.
    #[must_use]
    pub fn refuses(&self, prefix: &str) -> bool {
        let mut from = self.core.refused.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.next().is_some_and(|(subject, _)| subject.starts_with(prefix))
    }

    /// The connection is gone: nobody will know what became of what was on its way.
    pub(super) fn forget_core(&mut self) {
        self.pass_markers();
        self.core.ask_again(self.tick);
    }

    /// No marker that was written comes back.
    pub(super) fn pass_markers(&mut self) {
        self.core.is_fenced |= !self.core.unmarked.is_empty();
        self.core.mark();
        while !self.core.marked.is_empty() {
            self.pass_marker();
        }
    }

    /// Whether something waits for a marker.
    #[must_use]
    pub fn has_unmarked(&self) -> bool {
        if self.is_without_markers() {
            return false;
        }
        self.core.is_fenced || !self.core.unmarked.is_empty() || !self.core.marked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(core: &mut CorePublishes, target: u32, subject: &str) {
        core.add(CoreOut { revision: RevisionId(1), target, subject }, 10, || None);
    }

    fn counts(groups: &[Group]) -> Vec<(u32, u64, u64)> {
        groups.iter().map(|group| (group.target, group.count, group.bytes)).collect()
    }

    #[test]
    fn what_is_not_refused_before_its_marker_comes_back_is_delivered() {
        let mut core = CorePublishes::default();
        assert!(!core.mark());
        add(&mut core, 0, "free");
        add(&mut core, 1, "denied");
        add(&mut core, 0, "free");
        assert!(core.mark());
        add(&mut core, 1, "denied");
        core.fence();
        assert!(core.mark());
        let (is_news, lost) = core.refuse("denied", 7);
        assert_eq!((is_news, counts(&lost)), (true, vec![(1, 1, 10)]));
        assert_eq!(counts(&core.confirm()), [(0, 2, 20)]);
        assert_eq!(counts(&core.refuse("denied", 7).1), [(1, 1, 10)]);
        assert_eq!(counts(&core.confirm()), []);
    }

    #[test]
    fn what_is_published_while_a_marker_is_on_its_way_is_marked_when_that_is_back() {
        let mut core = CorePublishes::default();
        add(&mut core, 0, "free");
        assert!(core.mark());
        add(&mut core, 0, "free");
        add(&mut core, 1, "denied");
        assert!(!core.mark());
        add(&mut core, 0, "free");
        assert!(!core.mark() && core.has(RevisionId(1)));
        // Not marked yet, and refused all the same.
        assert_eq!(counts(&core.refuse("denied", 7).1), [(1, 1, 10)]);
        assert_eq!(counts(&core.confirm()), [(0, 1, 10)]);
        assert!(core.mark() && !core.mark());
        assert_eq!(counts(&core.confirm()), [(0, 2, 20)]);
        assert!(!core.mark() && !core.has(RevisionId(1)));
    }

    #[test]
    fn a_fence_has_the_number_of_the_next_marker_and_is_passed_when_that_is_back() {
        let mut core = CorePublishes::default();
        add(&mut core, 0, "free");
        assert!(core.has(RevisionId(1)) && core.mark() && core.has(RevisionId(1)));
        let fence = core.fence();
        assert_eq!((core.fence(), core.mark(), core.mark()), (fence, true, false));
        core.confirm();
        assert!(core.passed < fence && !core.has(RevisionId(1)));
        core.confirm();
        assert_eq!((core.passed, core.fence()), (fence, fence + 1));
    }

    #[test]
    fn on_a_new_connection_one_message_finds_out_whether_a_subject_is_still_refused() {
        let mut core = CorePublishes::default();
        core.refuse("denied", 7);
        core.refuse("$JS.API.CONSUMER.CREATE.IN.orders", 7);
        core.ask_again(8);
        assert!(!core.must_wait("denied", 8) && core.must_wait("denied", 8));
        assert_eq!(core.refused.len(), 1);
    }

    #[test]
    fn while_a_subject_is_refused_one_message_at_a_time_probes_it() {
        let mut core = CorePublishes::default();
        assert!(!core.must_wait("denied", 7));
        core.refuse("denied", 7);
        assert!(core.must_wait("denied", 7 + PROBE_TICKS - 1));
        assert!(!core.must_wait("denied", 7 + PROBE_TICKS) && core.must_wait("denied", 7 + PROBE_TICKS));
        add(&mut core, 0, "denied");
        core.mark();
        core.confirm();
        assert!(!core.must_wait("denied", 7 + PROBE_TICKS) && core.refuse("denied", 30).0);
    }
}
