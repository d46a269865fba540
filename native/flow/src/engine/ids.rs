//! Message ids: deterministic, so that a redelivery gives the same ids and JetStream drops the
//! second copy; hashed with the customer, so that no customer can collide with another's.

use std::fmt;

/// 128 bits of BLAKE3, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; 32]);

impl MessageId {
    /// The id under which an incoming message is stored. `key` is the client's `Idempotency-Key`,
    /// or random bytes where there is none.
    #[must_use]
    pub fn ingress(customer: &str, pipeline: &str, key: &[u8]) -> MessageId {
        let mut hash = blake3::Hasher::new();
        for part in [customer.as_bytes(), pipeline.as_bytes(), key] {
            put(&mut hash, part);
        }
        finish(&hash)
    }

    /// A fresh ingress id.
    #[must_use]
    pub fn random(customer: &str, pipeline: &str) -> MessageId {
        let noise = (u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..))).to_le_bytes();
        MessageId::ingress(customer, pipeline, &noise)
    }

    /// The id of one output: what the same input gives again under the same revision.
    #[must_use]
    pub fn output(key: &OutputKey, input: &str, index: u32) -> MessageId {
        // One block of the hash for our own ids, which have 32 characters.
        let mut block = [0; 60];
        match block.get_mut(..input.len() + 4) {
            Some(place) => {
                place[..input.len()].copy_from_slice(input.as_bytes());
                place[input.len()..].copy_from_slice(&index.to_le_bytes());
                write(&blake3::keyed_hash(&key.0, place))
            }
            None => write(&blake3::keyed_hash(&key.0, &[input.as_bytes(), &index.to_le_bytes()].concat())),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What all outputs of one out, under one revision, have in common. Hashed once, so that an output
/// costs one block.
#[derive(Clone, Copy, Debug)]
pub struct OutputKey([u8; 32]);

impl OutputKey {
    #[must_use]
    pub fn new(revision: &str, out: &str) -> OutputKey {
        let mut hash = blake3::Hasher::new();
        put(&mut hash, revision.as_bytes());
        put(&mut hash, out.as_bytes());
        OutputKey(*hash.finalize().as_bytes())
    }
}

/// Length first, so that no two lists of parts hash alike.
fn put(hash: &mut blake3::Hasher, part: &[u8]) {
    hash.update(&(part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn finish(hash: &blake3::Hasher) -> MessageId {
    write(&hash.finalize())
}

fn write(hash: &blake3::Hash) -> MessageId {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash.as_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    MessageId(text)
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_parts_give_equal_ids_and_others_do_not(a in ".{0,9}", b in ".{1,9}", key in proptest::collection::vec(any::<u8>(), 0..20)) {
            let id = MessageId::ingress(&a, &b, &key);
            prop_assert_eq!(id, MessageId::ingress(&a, &b, &key));
            prop_assert_eq!(id == MessageId::ingress(&b, &a, &key), a == b);
            prop_assert_ne!(id, MessageId::ingress(&format!("{a}{b}"), "", &key[..key.len() / 2]));
        }

        #[test]
        fn outputs_differ_by_input_revision_out_and_index(input in ".{0,80}", index in 0_u32..1000) {
            let key = OutputKey::new("r1", "erp");
            let id = MessageId::output(&key, &input, index);
            prop_assert_eq!(id, MessageId::output(&OutputKey::new("r1", "erp"), &input, index));
            prop_assert_ne!(id, MessageId::output(&key, &format!("{input}x"), index));
            prop_assert_ne!(id, MessageId::output(&key, &input, index + 1));
            prop_assert_ne!(id, MessageId::output(&OutputKey::new("r2", "erp"), &input, index));
            prop_assert_ne!(id, MessageId::output(&OutputKey::new("r1", "audit"), &input, index));
        }
    }
}
