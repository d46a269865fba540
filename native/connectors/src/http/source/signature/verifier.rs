//! A body that is looked at while it comes.

use std::sync::Arc;

use message::{Code, Fault};
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::boundary::{self, Forbidden};
use super::claim::Claim;
use super::{Deduplicate, Signature};

/// Takes the body's bytes as they come, so that no large body holds the shard up at its end.
#[derive(Debug)]
pub(in crate::http::source) struct Verifier {
    signature: Arc<Signature>,
    /// One for each secret.
    contexts: Vec<hmac::Context>,
    /// What is signed after the body.
    after: Vec<u8>,
    claimed: Vec<Vec<u8>>,
    /// What the body must not begin and end with.
    forbidden: [Forbidden; 2],
    /// The body's first byte and its last one until now.
    ends: Option<[u8; 2]>,
    delivery: Option<blake3::Hasher>,
}

/// What is known of a body whose signature is right.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::http::source) struct Verified {
    /// For the record of keys: the same for a delivery that comes again.
    pub(in crate::http::source) key: Option<Box<str>>,
    /// Of the secret that it was signed with.
    pub(in crate::http::source) name: Option<Box<str>>,
    /// Whose that is, where the path has several senders.
    pub(in crate::http::source) sender: Option<Box<str>>,
}

impl Verifier {
    pub(super) fn new(signature: &Arc<Signature>, claim: &Claim<'_>) -> Verifier {
        let id = claim.id.unwrap_or_default();
        let time = claim.timestamp.unwrap_or_default();
        let (before, after) = signature.recipe.signed.around(time, id);
        let mut contexts: Vec<_> = signature.keys.iter().map(|key| hmac::Context::with_key(&key.key)).collect();
        contexts.iter_mut().for_each(|context| context.update(&before));
        let delivery = match signature.deduplicate {
            Deduplicate::Off => None,
            Deduplicate::Content => Some(blake3::Hasher::new_derive_key(BY_CONTENT)),
            Deduplicate::Delivery => {
                let mut hasher = blake3::Hasher::new_derive_key(BY_DELIVERY);
                hasher.update(&(id.len() as u64).to_le_bytes());
                hasher.update(id.as_bytes());
                Some(hasher)
            }
        };
        Verifier {
            signature: Arc::clone(signature),
            contexts,
            after,
            claimed: claim.signatures.clone(),
            forbidden: boundary::forbidden(&signature.recipe.signed, time),
            ends: None,
            delivery,
        }
    }

    pub(in crate::http::source) fn update(&mut self, bytes: &[u8]) {
        self.contexts.iter_mut().for_each(|context| context.update(bytes));
        if let [first, ..] = *bytes
            && let Some(last) = bytes.last()
        {
            self.ends = Some([self.ends.map_or(first, |[first, _]| first), *last]);
        }
        if let Some(delivery) = &mut self.delivery {
            delivery.update(bytes);
        }
    }

    /// Every secret is compared with every signature, so that the time does not tell which of them was right.
    ///
    /// # Errors
    /// `http/signature-wrong`; `http/signature-malformed` for a body whose first or last byte could belong to the value
    /// that is signed right beside it.
    pub(in crate::http::source) fn finish(self) -> Result<Verified, Fault> {
        let mut right = None;
        for (mut context, key) in self.contexts.into_iter().zip(&self.signature.keys) {
            context.update(&self.after);
            let tag = context.sign();
            for claimed in &self.claimed {
                if bool::from(tag.as_ref().ct_eq(claimed)) {
                    right = Some(key);
                }
            }
        }
        let key = right.ok_or_else(|| {
            Fault::new(Code::HttpSignatureWrong, "no secret of this path makes the request's signature for its body")
        })?;
        let is_open = |ends: [u8; 2]| self.forbidden.iter().zip(ends).any(|(forbidden, byte)| forbidden.has(byte));
        if self.ends.is_some_and(is_open) {
            let reason = "the time or the id is signed right beside the body, which could go on with it there";
            return Err(Fault::new(Code::HttpSignatureMalformed, reason));
        }
        // The body is part of it: a retry whose body was made anew is no misuse of its id.
        let delivery = self.delivery.map(|hasher| hasher.finalize().to_hex().as_str().into());
        Ok(Verified { key: delivery, name: key.name.clone(), sender: key.sender.clone() })
    }
}

const BY_CONTENT: &str = "vrsky 2026-11 delivery of a webhook by its content";
const BY_DELIVERY: &str = "vrsky 2026-11 delivery of a webhook by its id and content";
