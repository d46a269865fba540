//! The names met so far in every open object or element: finds a repeated one in constant time.
//!
//! Entries form a stack, since only the innermost scope ever grows: a scope is the index of its
//! first entry, and closing it cuts the stack there. A narrow scope is searched from end to end. A
//! wide one is also entered into a hash table, or a hostile document would cost the square of its
//! size; the hash is keyed, so that nobody can choose names that collide.

use std::hash::{BuildHasher, RandomState};

use message::{NONE, Span};

/// Up to this many names a scope is searched linearly.
const NARROW: usize = 16;

/// A name, with a number of its owner's choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    digest: u64,
    pub(crate) name: Span,
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

    /// The entry called `name`, a range of `bytes`, in the innermost scope.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], scope: usize, name: Span) -> Option<usize> {
        let digest = digest(bytes, name);
        if self.entries.len() - scope > NARROW {
            return self.find_hashed(bytes, scope, name, digest);
        }
        let found = self.entries[scope..].iter().position(|entry| is(entry, bytes, name, digest));
        found.map(|position| scope + position)
    }

    /// Adds a name that `find` did not find.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8], scope: usize, name: Span, last: u32) {
        self.entries.push(Entry { digest: digest(bytes, name), name, last, hash: 0 });
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

    fn find_hashed(&self, bytes: &[u8], scope: usize, name: Span, digest: u64) -> Option<usize> {
        let mut slot = self.first_slot(self.hash(bytes, scope, name));
        while let Some(entry) = self.entries.get(self.table[slot] as usize) {
            let index = self.table[slot] as usize;
            if index >= scope && is(entry, bytes, name, digest) {
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
    fn hash(&self, bytes: &[u8], scope: usize, name: Span) -> u32 {
        self.hasher.hash_one((scope, slice(bytes, name))) as u32 | 1
    }

    fn first_slot(&self, hash: u32) -> usize {
        // The lowest bit is always set; the table's size is a power of two.
        (hash as usize >> 1) & (self.table.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.table.len() - 1)
    }
}

#[inline]
fn is(entry: &Entry, bytes: &[u8], name: Span, digest: u64) -> bool {
    entry.digest == digest && (name.length < 8 || slice(bytes, entry.name) == slice(bytes, name))
}

#[inline]
fn slice(bytes: &[u8], name: Span) -> &[u8] {
    &bytes[name.start as usize..][..name.length as usize]
}

/// The first seven bytes and the length, which tells most names apart, and short ones for good.
#[inline]
fn digest(bytes: &[u8], name: Span) -> u64 {
    let (start, length) = (name.start as usize, name.length as usize);
    let word = match bytes[start..].first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes[start..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let kept = 8 * length.min(7);
    word & ((1 << kept) - 1) | (length.min(255) as u64) << 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(names: &[String]) -> (Vec<u8>, Vec<Span>) {
        let mut bytes = Vec::new();
        let spans = names.iter().map(|name| {
            let start = bytes.len();
            bytes.extend_from_slice(name.as_bytes());
            Span::between(start, bytes.len())
        });
        let spans = spans.collect();
        (bytes, spans)
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
