//! What stands in a file before a place, as two numbers: by them a file that was written to is known to be the one that was
//! read up to there, or to be another one that was written over it.
//!
//! ```text
//! | block | block | block | block | pl^ace
//!                         └─────────┘   near: a look costs the same however long the file is
//! └─────────────────────────────┘       all: every whole block before, for which the file is read again from its start
//! ```

use std::fs::File;
use std::hash::Hasher as _;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use siphasher::sip::SipHasher13;

const BLOCK: u64 = 64 << 10;

/// Of what stands before a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Check {
    /// Of the block that the place is in, and of the one before.
    pub(super) near: u64,
    /// Of all whole blocks before the place; none where an earlier build has read them.
    pub(super) all: Option<u64>,
}

impl Check {
    /// Whether both may be of the same text, as far as both are known.
    pub(super) fn agrees(self, other: Check) -> bool {
        let same = |(one, other): (u64, u64)| one == other;
        self.near == other.near && self.all.zip(other.all).is_none_or(same)
    }
}

/// Goes along with what is read of a file's text, which of a compressed file is what it becomes.
#[derive(Clone, Debug)]
pub(super) struct Trail {
    at: u64,
    /// Of the block before.
    before: u64,
    /// Of this block so far.
    block: SipHasher13,
    /// Of all whole blocks, each chained to those before it.
    all: Option<u64>,
}

/// At the start of a file.
impl Default for Trail {
    fn default() -> Trail {
        Trail { at: 0, before: 0, block: SipHasher13::default(), all: Some(0) }
    }
}

impl Trail {
    /// That of a plain file up to `end`, of which the last two blocks are read; `None` when the file is shorter. `all`: of
    /// the whole blocks before, as it was when they were read. Blocks.
    pub(super) fn of(file: &File, end: u64, all: Option<u64>) -> std::io::Result<Option<Trail>> {
        let mut trail = Trail { at: (end / BLOCK).saturating_sub(1) * BLOCK, ..Trail::default() };
        let mut bytes = vec![0; 32 << 10];
        while trail.at < end {
            let most = usize::try_from(end - trail.at).unwrap_or(usize::MAX).min(bytes.len());
            match file.read_at(&mut bytes[..most], trail.at) {
                Ok(0) => return Ok(None),
                Ok(read) => trail.pass(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Trail { all, ..trail }))
    }

    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(BLOCK - self.at % BLOCK).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            self.block.write(now);
            self.at += now.len() as u64;
            if self.at.is_multiple_of(BLOCK) {
                self.before = std::mem::take(&mut self.block).finish();
                self.all = self.all.map(|all| chained(all, self.before));
            }
            bytes = rest;
        }
    }

    /// Of all that is before the place where it is now.
    pub(super) fn check(&self) -> Check {
        Check { near: self.block.finish() ^ self.before.rotate_left(32), all: self.all }
    }
}

fn chained(all: u64, block: u64) -> u64 {
    let mut hasher = SipHasher13::default();
    hasher.write_u64(all);
    hasher.write_u64(block);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> File {
        let path = std::env::temp_dir().join(format!("vrsky-trail-{}-{name}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_text_is_cut_and_from_the_file(
            size in 0_usize..300_000, cuts in prop::collection::vec(1_usize..90_000, 0..40),
        ) {
            let text: Vec<u8> = (0..size).map(|at| u8::try_from(at * at % 251).unwrap()).collect();
            let file = written("same", &text);
            let (mut trail, mut at) = (Trail::default(), 0);
            for cut in cuts {
                let end = (at + cut).min(size);
                trail.pass(&text[at..end]);
                at = end;
                let read = Trail::of(&file, at as u64, trail.check().all).unwrap().unwrap();
                prop_assert_eq!(read.check(), trail.check());
            }
        }
    }

    #[test]
    fn another_byte_among_the_last_64_kib_gives_another_number() {
        let text: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let check = |text: &[u8], end| Trail::of(&written("byte", text), end, None).unwrap().map(|trail| trail.check());
        for end in [1_usize, 5, 65_536, 65_537, 131_071, 131_072, 200_000] {
            for back in [1, 2, 1_000, 65_536] {
                let Some(at) = end.checked_sub(back) else { continue };
                let mut other = text.clone();
                other[at] ^= 1;
                assert_ne!(check(&text, end as u64), check(&other, end as u64), "{back} before {end}");
            }
        }
        assert_eq!(check(&text, 200_001), None);
    }

    #[test]
    fn another_byte_anywhere_gives_another_number_to_whoever_reads_all() {
        let text: Vec<u8> = (0..300_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let check = |text: &[u8]| {
            let mut trail = Trail::default();
            trail.pass(text);
            trail.check()
        };
        let known = check(&text);
        for at in [0, 5_000, 65_535, 65_536, 150_000, 196_607, 196_608, 299_999] {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(!known.agrees(check(&other)), "byte {at}");
        }
        // Blocks in another order.
        let other: Vec<u8> = [&text[65_536..131_072], &text[..65_536], &text[131_072..]].concat();
        assert!(!known.agrees(check(&other)));
        assert!(known.agrees(check(&text)) && known.agrees(Check { all: None, ..known }));
    }
}
