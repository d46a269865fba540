//! The last line of a file, when it has no end.
//!
//! A crash in the middle of a write leaves the start of a line. Its message was never acked, so it
//! will be delivered again: the start is cut away, and every line of the file is whole. But a line
//! that we did not tear is not ours to cut:
//!
//! | the text after the last line end | then |
//! |---|---|
//! | a whole object, list or string | it gets its line end (written but for the last byte, or by hand) |
//! | the start of a JSON value, a bare scalar, zeros of a power cut | cut away: `12` may be the start of `123` |
//! | anything else, or more than 64 MiB | kept, and ended: we only ever write JSON |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::file::line::{Shape, compact};

const LONGEST_LINE: u64 = 64 << 20;
const CHUNK: usize = 64 << 10;

/// What was done to the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Nothing: it was empty or ended with a line end.
    Whole,
    /// This many bytes of a torn line were cut away.
    Cut { bytes: u64 },
    /// A line without an end got one.
    Ended,
}

/// Blocks. The file is open for appending.
pub(super) fn repair(file: &File) -> io::Result<Repaired> {
    let length = file.metadata()?.len();
    let Some(tail) = tail(file, length)? else { return end(file) };
    if tail.is_empty() {
        return Ok(Repaired::Whole);
    }
    if !is_torn(&tail) {
        return end(file);
    }
    let bytes = tail.len() as u64;
    file.set_len(length - bytes)?;
    file.sync_all()?;
    Ok(Repaired::Cut { bytes })
}

fn end(mut file: &File) -> io::Result<Repaired> {
    io::Write::write_all(&mut file, b"\n")?;
    file.sync_data()?;
    Ok(Repaired::Ended)
}

/// What stands after the last line end; `None` when it is too long for a line.
fn tail(file: &File, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut start = length;
    let mut chunk = vec![0; CHUNK];
    while start > 0 {
        if length - start > LONGEST_LINE {
            return Ok(None);
        }
        let from = start.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..usize::try_from(start - from).unwrap_or(CHUNK)];
        file.read_exact_at(part, from)?;
        if let Some(newline) = part.iter().rposition(|b| *b == b'\n') {
            start = from + newline as u64 + 1;
            break;
        }
        start = from;
    }
    let mut tail = vec![0; usize::try_from(length - start).unwrap_or(0)];
    file.read_exact_at(&mut tail, start)?;
    Ok(Some(tail))
}

fn is_torn(tail: &[u8]) -> bool {
    let zeros = tail.iter().rev().take_while(|b| **b == 0).count();
    let text = &tail[..tail.len() - zeros];
    match compact(text, &mut Vec::new()) {
        Shape::Complete => zeros > 0 || !matches!(text.last(), Some(b'}' | b']' | b'"')),
        Shape::Prefix => true,
        Shape::Foreign => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_may_have_torn_is_torn() {
        for torn in ["{\"a\":1", "{", "\"abc", "[1,2", "12", "tru", "true", "\0\0\0", "{\"a\":1}\0", "{\"a\0\0"] {
            assert!(is_torn(torn.as_bytes()), "{torn:?}");
        }
        for whole in ["{\"a\":1}", "[]", "\"x\"", "hello", "<a/>", "a,b,c", "{a}", "hello\0"] {
            assert!(!is_torn(whole.as_bytes()), "{whole:?}");
        }
    }
}
