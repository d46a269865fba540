//! The limit on JetStream: pull, publish, PubAck, ack; in bursts, with two requests open.

use crate::arguments::Arguments;
use crate::wire::{Frame, Link, is_pub_ack, number, publish, put_number, stamp};

const BATCH: i64 = 512;

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let target = options.text("out").as_bytes().to_vec();
    let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", options.text("stream"), options.text("durable"));
    let inbox = format!("_INBOX.relay{}", std::process::id());
    let (pulls, acks) = (format!("{inbox}.p"), format!("{inbox}.a."));
    let mut link = Link::connect(options.text("server"), &[(&pulls, 1), (&format!("{acks}*"), 2)]);
    let ask = |out: &mut Vec<u8>| {
        let request = format!("{{\"batch\":{BATCH},\"expires\":30000000000}}");
        publish(out, next.as_bytes(), pulls.as_bytes(), b"", request.as_bytes());
    };
    ask(&mut link.out);
    ask(&mut link.out);
    println!("ready");
    let mut credit = 2 * BATCH;
    let (mut waiting, mut free): (Vec<Vec<u8>>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut headers, mut reply) = (Vec::new(), Vec::new());
    loop {
        link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if message.sid == 2 {
                assert!(is_pub_ack(message.payload), "refused: {}", String::from_utf8_lossy(message.payload));
                let slot = number(&message.subject[acks.len()..]);
                publish(out, &waiting[slot], b"", b"", b"");
                free.push(slot);
                return;
            }
            if message.reply.is_empty() {
                // A request has ended; what it did not bring is asked for anew.
                credit = 0;
            } else {
                credit -= 1;
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
            if credit <= BATCH {
                ask(out);
                credit += BATCH;
            }
        });
    }
}
