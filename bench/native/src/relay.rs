//! The limit on core NATS: frames are found, stamped with one header, and published. Nothing else.

use crate::arguments::Arguments;
use crate::wire::{Frame, Link, publish, stamp};

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let target = options.text("out").as_bytes().to_vec();
    let mut link = Link::connect(options.text("server"), &[(options.text("in"), 1)]);
    println!("ready");
    let mut headers = Vec::new();
    loop {
        link.burst(|frame, out| {
            if let Frame::Message(message) = frame {
                stamp(message.headers, &mut headers);
                publish(out, &target, b"", &headers, message.payload);
            }
        });
    }
}
