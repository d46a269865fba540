//! Empties a stream as a consumer that does nothing would: pull, ack. Beside a source under test, so
//! that its stream does not fill up.

use crate::arguments::Arguments;
use crate::pull::Pull;
use crate::wire::{Frame, Link, publish};

/// Until the server goes.
pub fn run(options: &Arguments) -> ! {
    let inbox = format!("_INBOX.drain{}", std::process::id());
    let mut link = Link::connect(options.text("server"), &[(&inbox, 1)]);
    let mut pull = Pull::new(options, &inbox, &mut link.out);
    println!("ready");
    loop {
        link.burst(|frame, out| {
            let Frame::Message(message) = frame else { return };
            if pull.takes(&message, out) {
                publish(out, message.reply, b"", b"", b"");
            }
        });
    }
}
