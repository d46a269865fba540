//! The reply subjects of a shard's publishes: they name the ledger's entry and the output, so that a PubAck finds
//! both without a table in between.
//!
//! ```text
//! to our own streams     _INBOX.<shard>.a.<entry>.<output>          only this program may subscribe there
//! to a user's subject    _INBOX.<users>.<customer>.<entry>.<output>  whoever listens on the subject sees it
//! ```
//!
//! Whoever sees a reply subject can publish to it. So those of a user's subjects share no prefix with ours, and
//! `<customer>` holds random digits that another customer cannot guess: an answer there counts for entries of that
//! customer only.

use nats::protocol;

use crate::engine::message::{CustomerId, EntryId};

/// A PubAck's subject, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub entry: EntryId,
    pub output: u32,
    /// Of a publish to a user's subject.
    pub customer: Option<CustomerId>,
}

pub struct Replies {
    prefix: String,
    own: Vec<u8>,
    /// Where the marker behind publishes to core NATS goes.
    marker: Vec<u8>,
    users: Vec<u8>,
    /// Each customer's part of the prefix, by its number.
    customers: Vec<Box<[u8]>>,
    secret: [u8; 32],
}

/// 128 bits, as hex digits.
fn unguessable(secret: &[u8; 32], name: &[u8]) -> String {
    blake3::keyed_hash(secret, name).to_hex()[..32].to_owned()
}

impl Replies {
    /// `name` is the shard's own; `secret` comes from the operating system, and what is made of it cannot be guessed
    /// from what a customer sees.
    #[must_use]
    pub fn new(name: &str, secret: [u8; 32]) -> Replies {
        let prefix = format!("_INBOX.{name}");
        Replies {
            own: format!("{prefix}.a.").into_bytes(),
            marker: format!("{prefix}.a.marker").into_bytes(),
            users: format!("_INBOX.{}.", unguessable(&secret, b"users")).into_bytes(),
            customers: Vec::new(),
            prefix,
            secret,
        }
    }

    /// Publishes a marker to ourselves.
    pub fn write_marker(&self, wire: &mut Vec<u8>) {
        protocol::encode_pub(wire, &self.marker, b"", b"");
    }

    /// Whether a subject is the marker's.
    #[must_use]
    pub fn is_marker(&self, subject: impl AsRef<[u8]>) -> bool {
        *subject.as_ref() == *self.marker
    }

    /// What the shard subscribes to for PubAcks.
    #[must_use]
    pub fn wildcards(&self) -> [String; 2] {
        [&self.own, &self.users].map(|prefix| format!("{}>", String::from_utf8_lossy(prefix)))
    }

    /// The reply subject of a pull.
    #[must_use]
    pub fn pull(&self, number: u64) -> String {
        format!("{}.p.{number}", self.prefix)
    }

    /// Writes the reply subject of an output. `customer`: of a publish to a user's subject.
    #[inline]
    pub fn write(&mut self, reply: &mut Vec<u8>, entry: EntryId, output: u32, customer: Option<CustomerId>) {
        reply.clear();
        match customer {
            None => reply.extend_from_slice(&self.own),
            Some(customer) => {
                reply.extend_from_slice(&self.users);
                reply.extend_from_slice(self.of_customer(customer));
                reply.push(b'.');
            }
        }
        protocol::write_number(reply, entry.number());
        reply.push(b'.');
        protocol::write_number(reply, u64::from(output));
    }

    fn of_customer(&mut self, customer: CustomerId) -> &[u8] {
        let number = customer.0 as usize;
        for number in self.customers.len()..=number {
            let text = format!("{number}-{}", unguessable(&self.secret, number.to_string().as_bytes()));
            self.customers.push(text.into_bytes().into());
        }
        &self.customers[number]
    }

    /// Reads the subject of an answer; `None` when it is none of ours.
    #[must_use]
    pub fn read(&self, subject: &[u8]) -> Option<Address> {
        let (rest, customer) = match subject.strip_prefix(&*self.own) {
            Some(rest) => (rest, None),
            None => {
                let rest = subject.strip_prefix(&*self.users)?;
                let dot = rest.iter().position(|byte| *byte == b'.')?;
                (&rest[dot + 1..], Some(self.customer(&rest[..dot])?))
            }
        };
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        let output = u32::try_from(digits(&rest[dot + 1..])?).ok()?;
        Some(Address { entry: EntryId::from_number(digits(&rest[..dot])?), output, customer })
    }

    fn customer(&self, text: &[u8]) -> Option<CustomerId> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let number = usize::try_from(digits(&text[..dash])?).ok()?;
        let known = self.customers.get(number)?;
        (**known == *text).then(|| CustomerId(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let value = digit.wrapping_sub(b'0');
        (value < 10).then(|| number.wrapping_mul(10).wrapping_add(u64::from(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(replies: &mut Replies, customer: Option<CustomerId>) -> String {
        let mut reply = Vec::new();
        replies.write(&mut reply, EntryId::new(3, 1), 2, customer);
        String::from_utf8(reply).unwrap()
    }

    #[test]
    fn a_pub_ack_finds_its_entry_and_output() {
        let mut replies = Replies::new("shard-0", [7; 32]);
        let own = text(&mut replies, None);
        let address = Address { entry: EntryId::new(3, 1), output: 2, customer: None };
        assert_eq!(replies.read(own.as_bytes()), Some(address));
        let users = text(&mut replies, Some(CustomerId(5)));
        assert_eq!(replies.read(users.as_bytes()), Some(Address { customer: Some(CustomerId(5)), ..address }));
        for other in ["", "_INBOX.other.a.1.0", "_INBOX.shard-0.a.x.0", "_INBOX.shard-0.a.1", "_INBOX.shard-0.a.1."] {
            assert_eq!(replies.read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_users_reply_subject_tells_nothing_of_ours_or_of_another_customers() {
        let mut replies = Replies::new("shard-0", [7; 32]);
        let (own, users) = (text(&mut replies, None), text(&mut replies, Some(CustomerId(1))));
        assert!(!users.contains("shard-0") && !own.contains(users.split('.').nth(1).unwrap()));
        let guess = users.replace(".1-", ".0-");
        assert_eq!(replies.read(guess.as_bytes()), None);
        let wildcards = replies.wildcards();
        assert!(
            users.starts_with(wildcards[1].trim_end_matches('>'))
                && own.starts_with(wildcards[0].trim_end_matches('>'))
        );
    }
}
