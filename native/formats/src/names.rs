//! The names met so far in every open object or element: finds a repeated one in constant time.
//!
//! Entries form a stack, since only the innermost scope ever grows: a scope is the index of its
//! first entry, and closing it cuts the stack there. A narrow scope is searched from end to end. A
//! wide one is also entered into a hash table, or a hostile document would cost the square of its
//! size; the hash is keyed, so that nobody can choose names that collide.

use std::hash::{BuildHasher, RandomState};

use message::{NONE, Span};

use crate::swar::last_word;

/// Up to this many names a scope is searched linearly.
const NARROW: usize = 16;

/// A name in a buffer: its range, and what tells it from most others at a glance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Name {
    /// The first seven bytes and the length.
    digest: u64,
    pub(crate) span: Span,
}

impl Name {
    #[inline]
    pub(crate) fn new(bytes: &[u8], span: Span) -> Name {
        let length = span.length as usize;
        let from = &bytes[span.start as usize..];
        let word = match from.first_chunk::<8>() {
            Some(word) => u64::from_le_bytes(*word),
            None => last_word(from),
        };
        let kept = 8 * length.min(7);
        Name { digest: word & ((1 << kept) - 1) | (length.min(255) as u64) << 56, span }
    }

    #[inline]
    pub(crate) fn is(&self, bytes: &[u8], other: Name) -> bool {
        self.digest == other.digest && (self.span.length < 8 || self.slice(bytes) == other.slice(bytes))
    }

    #[inline]
    pub(crate) fn slice<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.span.start as usize..][..self.span.length as usize]
    }
}

/// A name, with a number of its owner's choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) last: u32,
    /// 0 in a narrow scope, odd in a wide one.
    hash: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Names {
    entries: Vec<Entry>,
    /// Open addressing with linear probing; holds indices of `entries`, `NONE` where free. What
    /// was entered last leaves first, so that a removal never breaks the way to another entry.
    table: Vec<u32>,
    filled: usize,
    hasher: RandomState,
}

impl Names {
    /// The scope that starts now.
    #[inline]
    pub(crate) fn scope(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self, scope: usize) -> &[Entry] {
        &self.entries[scope..]
    }

    #[inline]
    pub(crate) fn entry_mut(&mut self, index: usize) -> &mut Entry {
        &mut self.entries[index]
    }

    /// The entry with the same name in the innermost scope.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], scope: usize, name: Name) -> Option<usize> {
        if self.entries.len() - scope > NARROW {
            return self.find_hashed(bytes, scope, name);
        }
        let found = self.entries[scope..].iter().position(|entry| entry.name.is(bytes, name));
        found.map(|position| scope + position)
    }

    /// The same, off the way of a usual document, so that `find` is not compiled into ever more places.
    #[cold]
    #[inline(never)]
    pub(crate) fn find_seldom(&self, bytes: &[u8], scope: usize, name: Name) -> Option<usize> {
        self.find(bytes, scope, name)
    }

    /// Adds a name that `find` did not find.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], scope: usize, name: Name, last: u32) {
        self.entries.push(Entry { name, last, hash: 0 });
        if self.entries.len() - scope > NARROW {
            self.enter(bytes, scope);
        }
    }

    /// Forgets the entries from `scope` on: ends the innermost scope, or takes it back to a point.
    #[inline]
    pub(crate) fn close(&mut self, scope: usize) {
        if self.filled > 0 {
            self.leave(scope);
        }
        self.entries.truncate(scope);
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.table.capacity() * size_of::<u32>()
    }

    #[cold]
    fn find_hashed(&self, bytes: &[u8], scope: usize, name: Name) -> Option<usize> {
        let mut slot = self.first_slot(self.hash(bytes, scope, name));
        while let Some(entry) = self.entries.get(self.table[slot] as usize) {
            let index = self.table[slot] as usize;
            if index >= scope && entry.name.is(bytes, name) {
                return Some(index);
            }
            slot = self.next_slot(slot);
        }
        None
    }

    /// Enters the newest name of a wide scope; all of them, when it has just become wide.
    #[cold]
    fn enter(&mut self, bytes: &[u8], scope: usize) {
        let width = self.entries.len() - scope;
        let first = if width == NARROW + 1 { scope } else { self.entries.len() - 1 };
        for index in first..self.entries.len() {
            if self.entries[index].hash != 0 {
                continue;
            }
            self.entries[index].hash = self.hash(bytes, scope, self.entries[index].name);
            if (self.filled + 1) * 2 > self.table.len() {
                self.grow(index);
            }
            self.place(index);
        }
    }

    /// Doubles the table, and enters again what was in it: the wide scopes' entries below `end`.
    fn grow(&mut self, end: usize) {
        let size = (self.table.len() * 2).max(NARROW * 8);
        self.table.clear();
        self.table.resize(size, NONE);
        self.filled = 0;
        for index in 0..end {
            if self.entries[index].hash != 0 {
                self.place(index);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation)] // no more entries than nodes
    fn place(&mut self, index: usize) {
        let mut slot = self.first_slot(self.entries[index].hash);
        while self.table[slot] != NONE {
            slot = self.next_slot(slot);
        }
        self.table[slot] = index as u32;
        self.filled += 1;
    }

    #[cold]
    #[allow(clippy::cast_possible_truncation)]
    fn leave(&mut self, scope: usize) {
        for index in (scope..self.entries.len()).rev() {
            if self.entries[index].hash == 0 {
                continue;
            }
            let mut slot = self.first_slot(self.entries[index].hash);
            while self.table[slot] != index as u32 {
                slot = self.next_slot(slot);
            }
            self.table[slot] = NONE;
            self.filled -= 1;
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn hash(&self, bytes: &[u8], scope: usize, name: Name) -> u32 {
        self.hasher.hash_one((scope, name.slice(bytes))) as u32 | 1
    }

    fn first_slot(&self, hash: u32) -> usize {
        // The lowest bit is always set; the table's size is a power of two.
        (hash as usize >> 1) & (self.table.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.table.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(names: &[String]) -> (Vec<u8>, Vec<Name>) {
        let mut bytes = Vec::new();
        let spans = names.iter().map(|name| {
            let start = bytes.len();
            bytes.extend_from_slice(name.as_bytes());
            Span::between(start, bytes.len())
        });
        let spans: Vec<Span> = spans.collect();
        let names = spans.into_iter().map(|span| Name::new(&bytes, span)).collect();
        (bytes, names)
    }

    proptest! {
        /// Scopes open and close as in a document; each must know its own names and no others'.
        #[test]
        fn names_are_found_in_their_scope_only(
            names in proptest::collection::vec("[ab]{0,9}", 1..120),
            moves in proptest::collection::vec(0..12_u8, 1..400),
        ) {
            let (bytes, spans) = text(&names);
            let mut subject = Names::default();
            let mut scopes = vec![(subject.scope(), Vec::<String>::new())];
            for (turn, step) in moves.into_iter().enumerate() {
                let which = turn % names.len();
                match step {
                    0 => scopes.push((subject.scope(), Vec::new())),
                    1 if scopes.len() > 1 => subject.close(scopes.pop().unwrap().0),
                    _ => {
                        let (scope, known) = scopes.last_mut().unwrap();
                        let found = subject.find(&bytes, *scope, spans[which]);
                        let expected = known.iter().position(|name| *name == names[which]);
                        prop_assert_eq!(found, expected.map(|at| *scope + at));
                        if found.is_none() {
                            subject.push(&bytes, *scope, spans[which], 0);
                            known.push(names[which].clone());
                        }
                    }
                }
            }
            while let Some((scope, _)) = scopes.pop() {
                subject.close(scope);
            }
            prop_assert_eq!(subject.filled, 0);
            prop_assert!(subject.table.iter().all(|slot| *slot == NONE));
        }
    }
}
