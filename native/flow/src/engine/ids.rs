//! Ids: a message's own, fixed where it comes in, and one for every publish of it.
//!
//! ```text
//! client's key and body │ place in a stream │ random ─► message id    Vrsky-Id, ctx.id
//!                                                          ├─ out, part ──────────────────────► Idempotency-Key
//!                                                          └─ revision, out, part, purpose ──► Nats-Msg-Id
//! ```
//!
//! No name that somebody else chooses decides whether a message is stored. An id begins with the customer's name,
//! so that it can only be equal to another id of the same customer. What follows are 128 bits of SipHash-1-3 with
//! fixed keys: the same on every node and in every release. Names are hashed with their lengths.

use std::fmt;
use std::hash::Hasher as _;

use message::hex;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// A customer's name has at most 40 characters; a dot and 32 hex digits follow.
const MAX_LENGTH: usize = 40 + 1 + 32;

/// `acme.0123456789abcdef0123456789abcdef`
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Id {
    text: [u8; MAX_LENGTH],
    length: u8,
}

impl Id {
    /// The message id of a request with an `Idempotency-Key`: the same key with the same body gives the same id.
    #[must_use]
    pub fn from_key(customer: &str, pipeline: &str, key: &[u8], body: &[u8]) -> Id {
        Id::of(customer, &hash(&[b"key", pipeline.as_bytes(), key, body]))
    }

    /// The message id of what stands at a place of a source: the same whenever it is read.
    #[must_use]
    pub fn from_source(customer: &str, pipeline: &str, place: &[u8]) -> Id {
        Id::of(customer, &hash(&[b"source", pipeline.as_bytes(), place]))
    }

    /// What stands for the client's key alone, whatever came with it.
    #[must_use]
    pub fn of_key(customer: &str, pipeline: &str, key: &[u8]) -> Id {
        Id::of(customer, &hash(&[b"key alone", pipeline.as_bytes(), key]))
    }

    /// The 32 hex digits behind the customer's name.
    #[must_use]
    pub fn digits(&self) -> &str {
        let text = self.as_str();
        &text[text.len().saturating_sub(32)..]
    }

    /// The message id of a message that has a place in a stream. A stream that was made anew begins again with its
    /// sequences, but not with its timestamps.
    #[must_use]
    pub fn from_place(customer: &str, key: &IdKey, stream: &[u8], sequence: u64, timestamp_ns: u64) -> Id {
        Id::of(customer, &key.hash(sequence, timestamp_ns, stream))
    }

    /// The message id of a message that nothing distinguishes.
    #[must_use]
    pub fn random(customer: &str, random: &mut fastrand::Rng) -> Id {
        Id::of(customer, &random.u128(..).to_le_bytes())
    }

    /// The id of one publish, or one delivery, of a message or a part of one. `redrive`: how often it was sent again
    /// from the dead letters, so that no stream takes that for the first time; 0 where it makes no difference.
    #[must_use]
    #[inline]
    pub fn derived(customer: &str, key: &IdKey, message: &str, part: u64, redrive: u32) -> Id {
        Id::of(customer, &key.hash(part, u64::from(redrive), message.as_bytes()))
    }

    /// The id of a message that a program before this one has made, which is also the id of its delivery.
    #[must_use]
    pub fn of_earlier_program(text: &str) -> Option<Id> {
        let is_one = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_one.then(|| Id::written(text))?
    }

    /// An id that was written before.
    #[must_use]
    pub fn parse(text: &str) -> Option<Id> {
        let (name, digits) = text.split_once('.')?;
        let is_id =
            name.len() <= MAX_LENGTH - 33 && digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_id.then(|| Id::written(text))?
    }

    fn written(text: &str) -> Option<Id> {
        let mut id = Id { text: [0; MAX_LENGTH], length: u8::try_from(text.len()).ok()? };
        id.text.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(id)
    }

    #[inline]
    fn of(customer: &str, bits: &[u8; 16]) -> Id {
        let mut text = [0; MAX_LENGTH];
        let name = customer.len().min(MAX_LENGTH - 33);
        text[..name].copy_from_slice(&customer.as_bytes()[..name]);
        text[name] = b'.';
        for (digits, bytes) in text[name + 1..].as_chunks_mut::<8>().0.iter_mut().zip(bits.as_chunks().0) {
            *digits = hex(*bytes);
        }
        #[allow(clippy::cast_possible_truncation)] // at most MAX_LENGTH
        Id { text, length: (name + 33) as u8 }
    }

    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }

    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

/// What all ids of one purpose have in common: hashed once, so that an id costs one short hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdKey(u64, u64);

impl IdKey {
    /// `names`: the purpose first, then what distinguishes its users, such as revision and out.
    #[must_use]
    pub fn new(names: &[&str]) -> IdKey {
        let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        IdKey::from_bits(hash(&names))
    }

    /// Of what this one publish has brought, alone.
    #[must_use]
    pub fn brought_by(&self, publish: &[u8]) -> IdKey {
        IdKey::from_bits(self.hash(0, 0, publish))
    }

    /// 64 bits that stand for a text.
    #[must_use]
    #[inline]
    pub fn bits_of(&self, text: &[u8]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.hash(0, 0, text);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    #[allow(clippy::cast_possible_truncation)] // its halves
    fn from_bits(bits: [u8; 16]) -> IdKey {
        let bits = u128::from_le_bytes(bits);
        IdKey(bits as u64, (bits >> 64) as u64)
    }

    /// Only `text` has a length of its own, so that no two of the same key are hashed alike.
    #[inline]
    fn hash(&self, first: u64, second: u64, text: &[u8]) -> [u8; 16] {
        let hasher = SipHasher13::new_with_keys(self.0, self.1);
        let numbers = (u128::from(second) << 64 | u128::from(first)).to_le_bytes();
        // One piece is hashed in half the time of two. An id and a stream's name fit.
        let mut whole = [0; 16 + 128];
        whole[..16].copy_from_slice(&numbers);
        if let Some(place) = whole.get_mut(16..16 + text.len()) {
            place.copy_from_slice(text);
            return hasher.hash(&whole[..16 + text.len()]).as_bytes();
        }
        let mut hasher = hasher;
        hasher.write(&numbers);
        hasher.write(text);
        hasher.finish128().as_bytes()
    }
}

/// What stands for a body, as hex digits.
#[must_use]
pub fn body_digits(body: &[u8]) -> String {
    format!("{:032x}", u128::from_le_bytes(hash(&[body])))
}

/// Each part follows its length, so that no two lists of parts are hashed alike.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    hasher.finish128().as_bytes()
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_the_same_in_every_release() {
        let id = Id::from_place("acme", &IdKey::new(&["place", "orders"]), b"ORDERS", 7, 1_700_000_000_000_000_000);
        assert_eq!(id.as_str(), "acme.fcf9d2d128e02a1ff2868906783ac245");
        assert_eq!(
            Id::derived("acme", &IdKey::new(&["lane", "r1", "erp"]), id.as_str(), 0, 0).as_str(),
            "acme.e9f0e8c30c1aebc57b5153b3bc36d3e1"
        );
    }

    #[test]
    fn an_id_begins_with_the_customers_name() {
        let longest = "c".repeat(40);
        let mut random = fastrand::Rng::with_seed(1);
        let id = Id::random(&longest, &mut random);
        assert_eq!(id.as_str().split_once('.').map(|(name, digits)| (name, digits.len())), Some((&*longest, 32)));
        assert_ne!(id, Id::random(&longest, &mut random));
    }

    #[test]
    fn a_stream_that_was_made_anew_gives_other_ids() {
        let key = IdKey::new(&["place", "orders"]);
        let id = |timestamp| Id::from_place("acme", &key, b"ORDERS", 1, timestamp);
        assert_ne!(id(1), id(2));
    }

    proptest! {
        #[test]
        fn a_text_of_any_length_is_hashed_as_if_it_came_in_pieces(
            text in proptest::collection::vec(any::<u8>(), 0..300), first in any::<u64>(), second in any::<u64>()
        ) {
            let key = IdKey::new(&["lane"]);
            let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
            hasher.write(&first.to_le_bytes());
            hasher.write(&second.to_le_bytes());
            hasher.write(&text);
            prop_assert_eq!(key.hash(first, second, &text), hasher.finish128().as_bytes());
        }

        #[test]
        fn equal_keys_and_bodies_give_equal_ids_and_others_do_not(
            pipeline in "[a-z]{1,9}", key in ".{0,9}", body in proptest::collection::vec(any::<u8>(), 0..20)
        ) {
            let id = Id::from_key("acme", &pipeline, key.as_bytes(), &body);
            prop_assert_eq!(id, Id::from_key("acme", &pipeline, key.as_bytes(), &body));
            prop_assert_ne!(id, Id::from_key("acme-eu", &pipeline, key.as_bytes(), &body));
            prop_assert_ne!(id, Id::from_key("acme", &format!("{pipeline}x"), key.as_bytes(), &body));
            prop_assert_ne!(id, Id::from_key("acme", &pipeline, format!("{key}x").as_bytes(), &body));
            prop_assert_ne!(id, Id::from_key("acme", &pipeline, key.as_bytes(), &[&*body, b"x"].concat()));
            let joined = format!("{pipeline}{key}");
            prop_assert!(key.is_empty() || id != Id::from_key("acme", &joined, b"", &body));
        }

        #[test]
        fn publishes_differ_by_message_part_revision_out_and_purpose(message in ".{0,80}", part in 0_u64..1000) {
            let key = IdKey::new(&["lane", "r1", "erp"]);
            let id = Id::derived("acme", &key, &message, part, 0);
            prop_assert_eq!(id, Id::derived("acme", &IdKey::new(&["lane", "r1", "erp"]), &message, part, 0));
            prop_assert_ne!(id, Id::derived("acme", &key, &format!("{message}x"), part, 0));
            prop_assert_ne!(id, Id::derived("acme", &key, &message, part + 1, 0));
            prop_assert_ne!(id, Id::derived("acme", &key, &message, part, 1));
            for other in [["lane", "r2", "erp"], ["lane", "r1", "audit"], ["park", "r1", "erp"], ["lane", "r1e", "rp"]] {
                prop_assert_ne!(id, Id::derived("acme", &IdKey::new(&other), &message, part, 0));
            }
        }
    }
}
