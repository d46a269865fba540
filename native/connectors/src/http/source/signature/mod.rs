//! Signatures of webhooks: whoever knows the secret has made this very body.
//!
//! ```text
//! options.rs   what a pipeline says: a sender that is known by name (presets.rs), or how a signature is made
//!    ▼
//! recipe.rs    where in a request the signature, the time and the id stand, and what is signed (template.rs)
//!              boundary.rs: that a value ends in what is signed where the template says
//!    ▼
//! claim.rs     what one request's headers say, looked at before its body is read
//!    ▼
//! verifier.rs  one MAC for each secret over the bytes as they come, before they are unpacked or parsed
//! ```
//!
//! Why a signature was refused is told apart by its code; no answer says which value would have been right.

mod boundary;
mod claim;
mod options;
mod presets;
mod recipe;
mod template;
mod verifier;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use message::{Code, Fault};
use ring::hmac;

use recipe::Recipe;
pub(super) use verifier::{Verified, Verifier};

pub use options::{Algorithm, Deduplicate, Encoding, Hmac, Sender, SignatureOptions, SigningSecret, Timestamp};

/// How the bodies of a route are signed, and with what.
#[derive(Debug)]
pub struct Signature {
    recipe: Recipe,
    keys: Vec<Key>,
    /// How far the time that is signed may be from now, either way.
    tolerance: Option<Duration>,
    deduplicate: Deduplicate,
}

#[derive(Debug)]
struct Key {
    key: hmac::Key,
    name: Option<Box<str>>,
    sender: Option<Box<str>>,
}

impl Signature {
    /// Whether anybody can sign so, whatever the secrets are.
    ///
    /// # Errors
    /// `config/invalid-value` with a pointer into the options of the in: a template without the body, or
    /// whose values cannot be told apart; a time or an id that is signed and stands nowhere.
    pub fn check(options: &SignatureOptions) -> Result<(), Fault> {
        Signature::made(options).map(drop)
    }

    /// # Errors
    /// Like `check`, and for no secret, an empty one, or one that is not encoded as it should be.
    pub fn new(options: &SignatureOptions) -> Result<Signature, Fault> {
        if options.secrets.is_empty() {
            return Err(invalid("a signature needs a secret"));
        }
        Signature::made(options)
    }

    fn made(options: &SignatureOptions) -> Result<Signature, Fault> {
        let recipe = Recipe::new(&options.sender)?;
        let key = |secret: &SigningSecret| {
            let key = recipe
                .secret
                .key(&secret.value)
                .map_err(|reason| invalid(format!("the secret `{}` {reason}", secret.called)))?;
            let (name, sender) = (secret.name.as_deref().map(Box::from), secret.sender.as_deref().map(Box::from));
            Ok(Key { key: hmac::Key::new(recipe.algorithm.ring(), &key), name, sender })
        };
        let keys = options.secrets.iter().map(key).collect::<Result<_, Fault>>()?;
        let deduplicate = options.deduplicate.unwrap_or(recipe.deduplicate);
        if deduplicate == Deduplicate::Delivery && recipe.id.is_none() {
            return Err(invalid("there is no header with a delivery's id").at_pointer("/deduplicate"));
        }
        let tolerance = options.tolerance.or(recipe.tolerance);
        if tolerance.is_some() && !recipe.has_timestamp() {
            return Err(invalid("there is no time that is signed").at_pointer("/tolerance"));
        }
        boundary::check_template(&recipe.signed, tolerance.is_some()).map_err(|fault| fault.at_pointer("/signed"))?;
        Ok(Signature { recipe, keys, tolerance, deduplicate })
    }

    /// What the headers say, and what is going to look whether the body is the one that they speak of.
    ///
    /// # Errors
    /// `http/signature-missing`, `http/signature-malformed`, `http/signature-expired`.
    pub(super) fn begin(self: &Arc<Self>, headers: &HeaderMap, now: SystemTime) -> Result<Verifier, Fault> {
        let claim = self.recipe.claim(headers)?;
        if let Some(tolerance) = self.tolerance {
            claim.check_time(now.duration_since(UNIX_EPOCH).unwrap_or_default(), tolerance)?;
        }
        claim.check_boundaries(&self.recipe, self.tolerance.is_some())?;
        if self.deduplicate == Deduplicate::Delivery {
            claim.check_id(&self.recipe)?;
        }
        Ok(Verifier::new(self, &claim))
    }
}

fn invalid(reason: impl Into<String>) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason)
}

#[cfg(test)]
mod tests;
