//! The stdout out, into a buffer and into a pipe that nobody reads any more.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use connectors::stdout::sink::StdoutSink;
use connectors::{Outcome, Sink};
use harness::run;
use message::Code;

use crate::delivery::delivery;

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(sink: &StdoutSink, payloads: &[&str]) -> Vec<Outcome> {
    let batch: Vec<_> = payloads.iter().map(|payload| delivery(payload, "")).collect();
    run(sink.write_batch(&batch))
}

#[test]
fn a_batch_is_shown_line_by_line() {
    let shown = Shown::default();
    let outcomes = write(&StdoutSink::to(Box::new(shown.clone())), &["{ \"a\": 1 }", "<a>\x1b[31m\n</a>"]);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered)) && outcomes.len() == 2);
    assert_eq!(String::from_utf8(shown.0.lock().unwrap().clone()).unwrap(), "{\"a\":1}\n<a>\\u001b[31m\\n</a>\n");
}

#[test]
fn a_closed_pipe_is_no_delivery() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let outcomes = write(&StdoutSink::to(Box::new(writer)), &["x"]);
    assert!(matches!(&outcomes[..], [Outcome::Retry { fault, .. }] if fault.code() == Code::FileWrite));
}
