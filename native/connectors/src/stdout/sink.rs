//! The stdout out: one line per message, safe to show on a terminal.
//!
//! JSON loses the blanks between its tokens; other text keeps its own. Control characters, and
//! those that turn the direction of the text, are escaped (`\n`, `\u001b`); within JSON that does
//! not change its value. Bytes that are not UTF-8 are shown as U+FFFD.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use message::{Code, Fault};

use crate::contract::{Delivery, Health, LocalFuture, Outcome, Sink};
use crate::file::line::{Shape, compact};

/// Shared by the blocking threads that write to it.
type Terminal = Arc<Mutex<Box<dyn Write + Send>>>;

pub struct StdoutSink {
    terminal: Terminal,
    scratch: RefCell<Vec<u8>>,
}

impl StdoutSink {
    #[must_use]
    pub fn new() -> StdoutSink {
        StdoutSink::to(Box::new(io::stdout()))
    }

    /// Writes there instead, in one piece per batch.
    #[must_use]
    pub fn to(writer: Box<dyn Write + Send>) -> StdoutSink {
        StdoutSink { terminal: Arc::new(Mutex::new(writer)), scratch: RefCell::default() }
    }
}

impl Default for StdoutSink {
    fn default() -> Self {
        StdoutSink::new()
    }
}

impl Sink for StdoutSink {
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        self.connect()
    }

    /// The process has it open.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn health(&self) -> Health {
        Health::Up
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        let mut lines = String::new();
        for delivery in batch {
            put_line(delivery.payload, &mut self.scratch.borrow_mut(), &mut lines);
        }
        let terminal = Arc::clone(&self.terminal);
        Box::pin(async move {
            // A pipe whose reader is slow must not hold up the shard.
            let written = tokio::task::spawn_blocking(move || {
                let mut terminal = terminal.lock().unwrap_or_else(PoisonError::into_inner);
                terminal.write_all(lines.as_bytes()).and_then(|()| terminal.flush())
            });
            let written = written.await.unwrap_or_else(|_| Err(io::Error::other("the write was broken off")));
            let outcome = match written {
                Ok(()) => Outcome::Delivered,
                Err(error) => Outcome::Retry {
                    fault: Fault::new(Code::FileWrite, format!("standard output: {error}")),
                    after: None,
                },
            };
            vec![outcome; batch.len()]
        })
    }

    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn put_line(payload: &[u8], scratch: &mut Vec<u8>, into: &mut String) {
    scratch.clear();
    let is_json = compact(payload, scratch) == Shape::Complete;
    let text = String::from_utf8_lossy(if is_json { scratch } else { payload });
    for c in text.chars() {
        match c {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            // All of them lie in the first plane, so four digits do.
            _ if hides(c) => drop(write!(into, "\\u{:04x}", u32::from(c))),
            _ => into.push(c),
        }
    }
    into.push('\n');
}

/// Whether a terminal acts on the character instead of showing it.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(payload: &[u8]) -> String {
        let mut into = String::new();
        put_line(payload, &mut Vec::new(), &mut into);
        into
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        for (payload, expected) in [
            (&b"{\n \"a\": 1\n}"[..], "{\"a\":1}\n"),
            (b"<a>\r\n\t<b/></a>", "<a>\\r\\n\\t<b/></a>\n"),
            (b"\x1b[2J\x07", "\\u001b[2J\\u0007\n"),
            ("\"\u{7f}\u{9b}\u{202e}\"".as_bytes(), "\"\\u007f\\u009b\\u202e\"\n"),
            (b"a\xffb", "a\u{fffd}b\n"),
            (b"", "\n"),
        ] {
            assert_eq!(line(payload), expected);
        }
    }

    proptest! {
        #[test]
        fn json_keeps_its_value(text in ".{0,20}") {
            let json = serde_json::json!({ "k": text });
            let shown = line(&serde_json::to_vec_pretty(&json).unwrap());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), json);
            prop_assert!(!shown.trim_end_matches('\n').chars().any(hides));
        }
    }
}
