//! What a pipeline says about the signatures of its sender.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::hmac;

/// Some senders leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone, Debug)]
pub struct SignatureOptions {
    pub sender: Sender,
    /// Each of them counts: several while one takes the place of another.
    pub secrets: Vec<SigningSecret>,
    /// In place of the sender's own: 5 minutes for those that sign a time.
    pub tolerance: Option<Duration>,
    /// In place of the sender's own.
    pub deduplicate: Option<Deduplicate>,
}

/// Whose signatures they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// `X-Hub-Signature-256`
    GitHub,
    /// `Stripe-Signature: t=...,v1=...`
    Stripe,
    /// `X-Shopify-Hmac-Sha256`
    Shopify,
    /// `X-Slack-Signature` over `v0:time:body`
    Slack,
    /// `webhook-id`, `webhook-timestamp` and `webhook-signature`, by standardwebhooks.com
    StandardWebhooks,
    /// The same under the names that begin with `svix-`.
    Svix,
    /// Another one.
    Hmac(Hmac),
}

/// How another sender signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// The header with the signature.
    pub header: String,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// What stands before the signature, such as `sha256=`.
    pub prefix: String,
    pub timestamp: Option<Timestamp>,
    /// The header with the delivery's id.
    pub id: Option<String>,
    /// What is signed: `{body}` once, with `{timestamp}`, `{id}` and other text around it.
    pub signed: String,
    /// How the secret is written.
    pub secret: Encoding,
}

/// A header with the time at which a request was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp {
    pub header: String,
    /// How far it may be from now, either way; it is in seconds or milliseconds since 1970 then. Without it the time is
    /// signed as it stands, and a request is never too old.
    pub tolerance: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base64,
    /// As they are; for secrets only.
    Text,
}

/// By what two deliveries are known to be one, beside their body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deduplicate {
    /// The delivery's id, which a retry repeats. Only some senders sign it: of the others, whoever has a request can send
    /// it again under another id.
    Delivery,
    /// Nothing more: the same body counts once, whatever the headers say.
    Content,
    /// Each request counts.
    Off,
}

/// A secret, and the name by which people tell it from others.
#[derive(Clone)]
pub struct SigningSecret {
    pub value: String,
    /// What a fault of it calls it.
    pub called: String,
    /// What messages say in `Auth-name` when they were signed with it.
    pub name: Option<String>,
    /// Whose it is, where several senders sign: each has deliveries and keys of its own.
    pub sender: Option<String>,
}

impl SigningSecret {
    #[must_use]
    pub fn new(value: impl Into<String>) -> SigningSecret {
        SigningSecret { value: value.into(), called: String::new(), name: None, sender: None }
    }

    #[must_use]
    pub fn named(self, name: impl Into<String>) -> SigningSecret {
        SigningSecret { name: Some(name.into()), ..self }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Algorithm {
    pub(super) fn ring(self) -> hmac::Algorithm {
        match self {
            Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        }
    }

    /// Bytes of a signature.
    pub(super) fn length(self) -> usize {
        self.ring().digest_algorithm().output_len()
    }
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => unhex(text),
            Encoding::Base64 => BASE64.decode(text).ok(),
            Encoding::Text => Some(text.as_bytes().to_vec()),
        }
    }

    /// The bytes of a secret.
    ///
    /// # Errors
    /// What is wrong about it.
    pub(super) fn key(self, secret: &str) -> Result<Vec<u8>, &'static str> {
        // Standard Webhooks writes it before its base64, for people to see what it is.
        let text = if self == Encoding::Base64 { secret.strip_prefix("whsec_").unwrap_or(secret) } else { secret };
        let key = self.decode(text).ok_or(match self {
            Encoding::Text => "is no text",
            Encoding::Hex => "is not written in hexadecimal digits",
            Encoding::Base64 => "is not base64",
        })?;
        if key.is_empty() { Err("is empty") } else { Ok(key) }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
