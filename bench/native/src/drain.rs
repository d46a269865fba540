//! Empties a stream as a consumer that does nothing would: pull, ack. Beside a source under test, so
//! that its stream does not fill up.

use crate::arguments::Arguments;
use crate::wire::{Frame, Link, publish};

const BATCH: i64 = 512;

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", options.text("stream"), options.text("durable"));
    let inbox = format!("_INBOX.drain{}", std::process::id());
    let mut link = Link::connect(options.text("server"), &[(&inbox, 1)]);
    let ask = |out: &mut Vec<u8>| {
        let request = format!("{{\"batch\":{BATCH},\"expires\":30000000000}}");
        publish(out, next.as_bytes(), inbox.as_bytes(), b"", request.as_bytes());
    };
    ask(&mut link.out);
    ask(&mut link.out);
    println!("ready");
    let mut credit = 2 * BATCH;
    loop {
        link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if message.reply.is_empty() {
                // A request has ended; what it did not bring is asked for anew.
                credit = 0;
            } else {
                credit -= 1;
                publish(out, message.reply, b"", b"", b"");
            }
            if credit <= BATCH {
                ask(out);
                credit += BATCH;
            }
        });
    }
}
