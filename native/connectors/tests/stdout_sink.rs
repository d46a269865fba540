//! The stdout out, into a buffer and into a pipe that nobody reads any more.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use connectors::stdout::sink::StdoutSink;
use connectors::{Delivery, Outcome, Sink};
use message::Code;

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

fn run(sink: &StdoutSink, payloads: &[&'static str]) -> Vec<Outcome> {
    let delivery = |payload: &&'static str| Delivery {
        id: "1".into(),
        payload: Bytes::from_static(payload.as_bytes()),
        content_type: "".into(),
        customer: "acme".into(),
        pipeline: "orders".into(),
        headers: Bytes::new(),
        url: None,
    };
    let batch: Vec<Delivery> = payloads.iter().map(delivery).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(sink.write_batch(&batch))
}

#[test]
fn a_batch_is_shown_line_by_line() {
    let shown = Shown::default();
    let outcomes = run(&StdoutSink::to(Box::new(shown.clone())), &["{ \"a\": 1 }", "<a>\x1b[31m\n</a>"]);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Delivered)) && outcomes.len() == 2);
    assert_eq!(String::from_utf8(shown.0.lock().unwrap().clone()).unwrap(), "{\"a\":1}\n<a>\\u001b[31m\\n</a>\n");
}

#[test]
fn a_closed_pipe_is_no_delivery() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let outcomes = run(&StdoutSink::to(Box::new(writer)), &["x"]);
    assert!(matches!(&outcomes[..], [Outcome::Retry { fault, .. }] if fault.code() == Code::FileWrite));
}
