//! The requests of a pull consumer: two are open, so that the server never waits for the next one.

use crate::arguments::Arguments;
use crate::wire::{Message, publish};

const BATCH: i64 = 512;

pub struct Pull {
    next: String,
    inbox: String,
    /// Messages that were asked for and have not come.
    credit: i64,
}

impl Pull {
    /// Of `--stream` and `--durable`; messages come to `inbox`. The first requests are put into `out`.
    pub fn new(options: &Arguments, inbox: &str, out: &mut Vec<u8>) -> Pull {
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", options.text("stream"), options.text("durable"));
        let mut pull = Pull { next, inbox: inbox.to_owned(), credit: 0 };
        pull.ask(out);
        pull.ask(out);
        pull
    }

    fn ask(&mut self, out: &mut Vec<u8>) {
        let request = format!("{{\"batch\":{BATCH},\"expires\":30000000000}}");
        publish(out, self.next.as_bytes(), self.inbox.as_bytes(), b"", request.as_bytes());
        self.credit += BATCH;
    }

    /// Asks for more where it is time to. Whether it is a message, and not the end of a request.
    pub fn takes(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> bool {
        let is_message = !message.reply.is_empty();
        // What a request that has ended did not bring is asked for anew.
        self.credit = if is_message { self.credit - 1 } else { 0 };
        if self.credit <= BATCH {
            self.ask(out);
        }
        is_message
    }
}
