//! From the options of a signature to what verifies it.

use std::sync::Arc;
use std::time::Duration;

use message::Fault;

use crate::http::options::{
    DeduplicateBy, HmacAlgorithm, KeyEncoding, KnownHmac, KnownSender, NoTolerance, SignatureEncoding, Tolerance,
    WebhookSender,
};
use crate::http::source::signature::{
    Algorithm, Deduplicate, Encoding, Hmac, Sender, Signature, SignatureOptions, SigningSecret, Timestamp,
};
use crate::kind::Secrets;
use crate::options::SenderSecret;

/// What senders recommend.
const TOLERANCE: Duration = Duration::from_secs(300);

/// The signatures of a route, by the names of secrets.
#[derive(Clone, Debug)]
pub struct Signing {
    options: SignatureOptions,
    pub(super) secrets: Vec<SenderSecret>,
}

impl Signing {
    /// # Errors
    /// `config/invalid-value` with a pointer that begins at the options.
    pub(super) fn of_sender(options: &KnownSender) -> Result<Signing, Fault> {
        let sender = match options.from {
            WebhookSender::Github => Sender::GitHub,
            WebhookSender::Stripe => Sender::Stripe,
            WebhookSender::Shopify => Sender::Shopify,
            WebhookSender::Slack => Sender::Slack,
            WebhookSender::StandardWebhooks => Sender::StandardWebhooks,
            WebhookSender::Svix => Sender::Svix,
        };
        let tolerance = options.tolerance.as_ref().map(crate::options::Span::length);
        Signing::new(sender, tolerance, options.deduplicate, options.key.list())
    }

    /// # Errors
    /// `config/invalid-value` with a pointer that begins at the options.
    pub(super) fn of_hmac(options: &KnownHmac) -> Result<Signing, Fault> {
        let tolerance = match &options.tolerance {
            None => options.timestamp.is_some().then_some(TOLERANCE),
            Some(Tolerance::Any(NoTolerance::None)) => None,
            Some(Tolerance::Within(span)) => Some(span.length()),
        };
        let timestamp =
            options.timestamp.as_ref().map(|header| Timestamp { header: header.to_string(), tolerance: None });
        let hmac = Hmac {
            header: options.header.to_string(),
            algorithm: match options.algorithm {
                HmacAlgorithm::Sha1 => Algorithm::Sha1,
                HmacAlgorithm::Sha256 => Algorithm::Sha256,
                HmacAlgorithm::Sha512 => Algorithm::Sha512,
            },
            encoding: match options.encoding {
                SignatureEncoding::Hex => Encoding::Hex,
                SignatureEncoding::Base64 => Encoding::Base64,
            },
            prefix: options.prefix.as_ref().map(|prefix| prefix.0.clone()).unwrap_or_default(),
            timestamp,
            id: options.id.as_ref().map(|id| id.0.clone()),
            signed: options.signed.clone(),
            secret: match options.key_encoding {
                KeyEncoding::Text => Encoding::Text,
                KeyEncoding::Hex => Encoding::Hex,
                KeyEncoding::Base64 => Encoding::Base64,
            },
        };
        Signing::new(Sender::Hmac(hmac), tolerance, options.deduplicate, options.key.list())
    }

    fn new(
        sender: Sender,
        tolerance: Option<Duration>,
        deduplicate: Option<DeduplicateBy>,
        secrets: Vec<SenderSecret>,
    ) -> Result<Signing, Fault> {
        let deduplicate = deduplicate.map(|by| match by {
            DeduplicateBy::Delivery => Deduplicate::Delivery,
            DeduplicateBy::Content => Deduplicate::Content,
            DeduplicateBy::None => Deduplicate::Off,
        });
        let options = SignatureOptions { sender, secrets: Vec::new(), tolerance, deduplicate };
        Signature::check(&options)?;
        Ok(Signing { options, secrets })
    }

    /// With the values of the secrets.
    ///
    /// # Errors
    /// `secret/not-found`; `config/invalid-value` for a secret that is not encoded as it should be.
    pub(super) fn open(&self, secrets: &dyn Secrets) -> Result<Arc<Signature>, Fault> {
        let several = self.secrets.len() > 1;
        let signing = |SenderSecret { secret: name, sender }: &SenderSecret| {
            let secret = SigningSecret { called: name.clone(), ..SigningSecret::new(secrets.get(name)?) };
            Ok(if several { SigningSecret { sender: sender.clone(), ..secret.named(name) } } else { secret })
        };
        let secrets = self.secrets.iter().map(signing).collect::<Result<_, Fault>>()?;
        Signature::new(&SignatureOptions { secrets, ..self.options.clone() }).map(Arc::new)
    }
}
