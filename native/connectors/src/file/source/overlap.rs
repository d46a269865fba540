//! Ins that read the same files, each of which would read them, or lose them to the other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use glob::Pattern;
use rustix::fd::OwnedFd;

use crate::file::folder::Identity;

/// Whether some name may fit both patterns. Two classes such as `[a-z]` always may.
#[must_use]
pub fn patterns_meet(one: &str, other: &str) -> bool {
    let (one, other) = (tokens(one), tokens(other));
    // A name with a dot at its start fits only a pattern that has one, too.
    let is_hidden = |tokens: &[Token]| matches!(tokens.first(), Some(Token::Character('.')));
    if is_hidden(&one) != is_hidden(&other) {
        return false;
    }
    // meets[j]: whether the rest of `one` and that of `other` from its j-th token on fit one name.
    let mut meets: Vec<bool> = (0..=other.len()).map(|at| other[at..].iter().all(Token::is_any)).collect();
    for token in one.iter().rev() {
        let after = meets.clone();
        meets[other.len()] = token.is_any() && after[other.len()];
        for at in (0..other.len()).rev() {
            meets[at] = match (token, &other[at]) {
                (Token::Any, _) | (_, Token::Any) => after[at] || meets[at + 1],
                (token, other) => token.may_be(other) && after[at + 1],
            };
        }
    }
    meets[0]
}

enum Token {
    /// `*`
    Any,
    /// `?`
    One,
    Character(char),
    /// `[a-z]`; `None` where it cannot be read.
    Class(Option<Pattern>),
}

impl Token {
    fn is_any(&self) -> bool {
        matches!(self, Token::Any)
    }

    /// Both are of one character.
    fn may_be(&self, other: &Token) -> bool {
        match (self, other) {
            (Token::Character(one), Token::Character(other)) => one == other,
            (Token::Character(one), Token::Class(Some(class))) | (Token::Class(Some(class)), Token::Character(one)) => {
                class.matches(one.encode_utf8(&mut [0; 4]))
            }
            _ => true,
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        tokens.push(match first {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => {
                length = class_length(rest).unwrap_or(rest.len());
                Token::Class(Pattern::new(&rest[..length]).ok())
            }
            other => Token::Character(other),
        });
        rest = &rest[length..];
    }
    tokens
}

/// A bracket at its start, or behind its `!`, belongs to the class.
fn class_length(rest: &str) -> Option<usize> {
    let start = if rest[1..].starts_with('!') { 2 } else { 1 };
    let first = rest[start..].chars().next()?.len_utf8();
    rest[start + first..].find(']').map(|at| start + first + at + 1)
}

/// The folders that ins of this process read, as they are on disk, whatever path leads there.
static READ: Mutex<Option<Readers>> = Mutex::new(None);

/// Of each folder: the numbers of its readers, and their patterns.
type Readers = HashMap<Identity, Vec<(u64, String)>>;

/// A folder and a pattern, for as long as they are read.
#[derive(Debug)]
pub(super) struct Reading {
    folder: Identity,
    number: u64,
}

impl Reading {
    /// `None` when another one reads files of the folder that this one may read.
    pub(super) fn begin(folder: &OwnedFd, pattern: &str) -> rustix::io::Result<Option<Reading>> {
        let folder = identity(folder)?;
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let readers = read.get_or_insert_default().entry(folder).or_default();
        if readers.iter().any(|(_, other)| patterns_meet(pattern, other)) {
            return Ok(None);
        }
        let number = readers.last().map_or(0, |(number, _)| number + 1);
        readers.push((number, pattern.to_owned()));
        Ok(Some(Reading { folder, number }))
    }

    pub(super) fn is_of(&self, folder: &OwnedFd) -> bool {
        identity(folder).is_ok_and(|folder| folder == self.folder)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(folders) = read.as_mut() else { return };
        let Some(readers) = folders.get_mut(&self.folder) else { return };
        readers.retain(|(number, _)| *number != self.number);
        if readers.is_empty() {
            folders.remove(&self.folder);
        }
    }
}

fn identity(folder: &OwnedFd) -> rustix::io::Result<Identity> {
    rustix::fs::fstat(folder).map(|stat| Identity::of(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_meet_where_a_name_fits_both() {
        for (one, other) in [
            ("*", "*"),
            ("*", "g*"),
            ("*.csv", "orders*"),
            ("a?c", "ab*"),
            ("[a-z]*", "x.csv"),
            ("a*b*c", "abc"),
            ("*.csv", "*v"),
            ("[!a]", "b"),
            ("[]x]", "]"),
            ("", "*"),
            ("a**", "a"),
            ("[a-c]", "[x-z]"),
            ("ü?", "üb"),
        ] {
            assert!(patterns_meet(one, other) && patterns_meet(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("*.csv", "*.xml"),
            ("a*", "b*"),
            ("a", "ab"),
            ("??", "?"),
            ("[a-z].csv", "1*"),
            ("[!a]", "a"),
            ("*", ".*"),
            ("a*b", "a*c"),
            ("", "?"),
        ] {
            assert!(!patterns_meet(one, other) && !patterns_meet(other, one), "{one} {other}");
        }
    }

    #[test]
    fn patterns_meet_is_never_wrong_about_a_name_that_fits_both() {
        let patterns = ["*", "a*", "*b", "a?b", "[ab]*", "?", "ab", "*a*", "[!b]b", "a[a-b]"];
        let names: Vec<String> =
            ["", "a", "b", "c", "ab", "ba", "bb", "aab", "abb", "acb", "cab"].map(str::to_owned).into();
        for one in patterns {
            for other in patterns {
                let fits = |pattern: &str, name: &String| Pattern::new(pattern).unwrap().matches(name);
                if names.iter().any(|name| fits(one, name) && fits(other, name)) {
                    assert!(patterns_meet(one, other), "{one} {other}");
                }
            }
        }
    }
}
