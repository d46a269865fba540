//! The limit on JetStream: pull, publish, PubAck, ack; in bursts, with two requests open.

use crate::arguments::Arguments;
use crate::pull::Pull;
use crate::wire::{Frame, Link, assert_stored, number, publish, put_number, stamp};

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let target = options.text("out").as_bytes().to_vec();
    let inbox = format!("_INBOX.relay{}", std::process::id());
    let (pulls, acks) = (format!("{inbox}.p"), format!("{inbox}.a."));
    let mut link = Link::connect(options.text("server"), &[(&pulls, 1), (&format!("{acks}*"), 2)]);
    let mut pull = Pull::new(options, &pulls, &mut link.out);
    println!("ready");
    let (mut waiting, mut free): (Vec<Vec<u8>>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut headers, mut reply) = (Vec::new(), Vec::new());
    loop {
        link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if message.sid == 2 {
                assert_stored(message.payload);
                let slot = number(&message.subject[acks.len()..]);
                publish(out, &waiting[slot], b"", b"", b"");
                free.push(slot);
                return;
            }
            if pull.takes(&message, out) {
                let slot = free.pop().unwrap_or_else(|| {
                    waiting.push(Vec::new());
                    waiting.len() - 1
                });
                waiting[slot].clear();
                waiting[slot].extend_from_slice(message.reply);
                reply.clear();
                reply.extend_from_slice(acks.as_bytes());
                put_number(&mut reply, slot);
                stamp(message.headers, &mut headers);
                publish(out, &target, &reply, &headers, message.payload);
            }
        });
    }
}
