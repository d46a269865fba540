//! The owner's side of a connection.

use message::Fault;

use crate::protocol::{Message, ServerError, ServerInfo};

/// Whether the turn goes on with the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Continue,
    /// The turn ends here. Messages already read are handled in the next one, before anything is read.
    Yield,
}

/// Called from within `Connection::turn`, on its thread; must not block. What is appended to `out` is
/// sent in the order written, at the end of the turn.
pub trait Handler {
    /// In the first turn, and after every reconnect. The server has forgotten subscriptions and pulls
    /// of the connection before: they are made here.
    fn on_connected(&mut self, info: &ServerInfo, out: &mut Vec<u8>);

    /// Once for every message, in the order of arrival. The views end with the call.
    fn on_message(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Pace;

    /// Once a turn, after its messages.
    fn on_burst_end(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// The connection is gone, and with it `dropped` bytes that were to be sent; of what was sent
    /// before, nobody knows whether it arrived. Unanswered publishes and acks must be taken as lost.
    fn on_disconnected(&mut self, fault: &Fault, dropped: usize) {
        let _ = (fault, dropped);
    }

    /// Try number `attempt` to reconnect failed; the next one follows by itself.
    fn on_reconnect_failed(&mut self, fault: &Fault, attempt: u32) {
        let _ = (fault, attempt);
    }

    /// The server complained. Where it also closes the connection, `on_disconnected` follows.
    fn on_server_error(&mut self, error: &ServerError) {
        let _ = error;
    }
}
