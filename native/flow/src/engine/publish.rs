//! Publishing with a window of PubAcks: the reply subject of a publish names the ledger's entry, so
//! that the PubAck finds it without a table in between.

use message::{Code, Fault};
use nats::protocol;

use super::headers::Block;
use super::ledger::{Ledger, Origin, Receipt};

/// What an output's success is reported to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// An input in the ledger.
    Entry(Receipt),
    /// A core NATS message: nobody can send it again, so each publish that needs a PubAck enters
    /// its own frame in the ledger and is repeated from there until it has one.
    Core,
}

/// The subjects on which this shard hears answers.
#[derive(Clone, Debug)]
pub struct Inbox {
    prefix: String,
    pub_acks: Vec<u8>,
}

impl Inbox {
    #[must_use]
    pub fn new(name: &str) -> Inbox {
        let prefix = format!("_INBOX.{name}");
        Inbox { pub_acks: format!("{prefix}.a.").into_bytes(), prefix }
    }

    /// `kind` is one letter: `a` PubAcks, `p` pulls, `r` replies.
    #[must_use]
    pub fn wildcard(&self, kind: char) -> String {
        format!("{}.{kind}.*", self.prefix)
    }

    #[must_use]
    pub fn subject(&self, kind: char, number: usize) -> String {
        format!("{}.{kind}.{number}", self.prefix)
    }

    /// The receipt that a PubAck's subject names.
    #[must_use]
    pub fn receipt(&self, subject: &[u8]) -> Option<Receipt> {
        let digits = subject.strip_prefix(&*self.pub_acks)?;
        digits
            .iter()
            .try_fold(0_u64, |number, digit| {
                let value = digit.wrapping_sub(b'0');
                (value < 10).then(|| number.wrapping_mul(10).wrapping_add(u64::from(value)))
            })
            .map(Receipt::from_number)
    }
}

/// The ledger and what is needed to publish against it.
pub struct Publisher {
    pub ledger: Ledger,
    pub inbox: Inbox,
    /// The header block of the next publish.
    pub block: Block,
    /// Counts seconds; what the ledger measures ages in.
    pub tick: u64,
    /// Of the server, bytes.
    pub max_payload: usize,
    reply: Vec<u8>,
}

/// Of the server's `max_payload`, kept for a request's headers, 16 KiB of them at most, and for ours.
const HEADER_BYTES: usize = 32 << 10;

/// A core message waits in memory until its stream has taken it; above this it is refused.
const HELD_BYTES: usize = 64 << 20;

impl Publisher {
    #[must_use]
    pub fn new(inbox: Inbox) -> Publisher {
        Publisher {
            ledger: Ledger::default(),
            inbox,
            block: Block::default(),
            tick: 0,
            max_payload: 1 << 20,
            reply: Vec::with_capacity(64),
        }
    }

    /// The largest body of a request that is sure to fit the server with its headers.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_payload.saturating_sub(HEADER_BYTES.min(self.max_payload / 16))
    }

    /// Whether `self.block` and `payload` fit the server.
    pub fn check_size(&self, payload: &[u8]) -> Result<(), Fault> {
        let bytes = self.block.bytes().len() + payload.len();
        if bytes <= self.max_payload {
            return Ok(());
        }
        let reason = format!("{bytes} bytes with headers, the server takes {}", self.max_payload);
        Err(Fault::new(Code::NatsMaxPayload, reason))
    }

    /// To a subject nobody confirms.
    pub fn publish_core(&self, subject: &str, payload: &[u8], out: &mut Vec<u8>) {
        protocol::encode_hpub(out, subject.as_bytes(), b"", self.block.bytes(), payload);
    }

    /// To a stream: `parent` waits for its PubAck. Gives the entry that does.
    pub fn publish_stream(
        &mut self,
        parent: Parent,
        subject: &str,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Receipt, Fault> {
        let receipt = match parent {
            Parent::Entry(receipt) => receipt,
            Parent::Core if self.ledger.token_bytes() > HELD_BYTES => {
                return Err(Fault::new(Code::LimitMemory, "too many core NATS messages wait for a stream"));
            }
            Parent::Core => self.ledger.open(Origin::Core, &[], self.tick),
        };
        self.ledger.expect_pub_ack(receipt, self.tick);
        self.reply.clear();
        self.reply.extend_from_slice(&self.inbox.pub_acks);
        protocol::write_number(&mut self.reply, receipt.number());
        let start = out.len();
        protocol::encode_hpub(out, subject.as_bytes(), &self.reply, self.block.bytes(), payload);
        if parent == Parent::Core {
            self.ledger.extend_token(receipt, &out[start..]);
        }
        Ok(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pub_ack_finds_its_entry() {
        let mut publisher = Publisher::new(Inbox::new("shard-0"));
        let receipt = publisher.ledger.open(Origin::JetStream, b"$JS.ACK.x", 0);
        let mut out = Vec::new();
        publisher.block.start("acme").end();
        publisher.publish_stream(Parent::Entry(receipt), "vrsky.x", b"{}", &mut out).unwrap();
        let reply = out.split(|b| *b == b' ').nth(2).unwrap();
        assert_eq!(publisher.inbox.receipt(reply), Some(receipt));
        assert_eq!(publisher.inbox.receipt(b"_INBOX.other.a.1"), None);
        assert_eq!(publisher.inbox.receipt(b"_INBOX.shard-0.a.x"), None);
    }

    #[test]
    fn a_core_message_keeps_its_frame_until_it_is_taken() {
        let mut publisher = Publisher::new(Inbox::new("shard-0"));
        let mut out = Vec::new();
        publisher.block.start("acme").end();
        publisher.publish_stream(Parent::Core, "vrsky.x", b"{}", &mut out).unwrap();
        assert_eq!(publisher.ledger.len(), 1);
        assert_eq!(publisher.ledger.token_bytes(), out.len());
    }
}
