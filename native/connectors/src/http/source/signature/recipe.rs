//! Where a request's signature stands, and what it is made of: the same for all requests of a sender.

use std::time::Duration;

use http::HeaderName;
use message::Fault;

use super::invalid;
use super::options::{Algorithm, Deduplicate, Encoding, Hmac, Sender};
use super::presets;
use super::template::Template;

#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// The header with the signature.
    pub(super) header: HeaderName,
    pub(super) shape: Shape,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    /// The header with the time, unless that stands beside the signature.
    pub(super) timestamp: Option<HeaderName>,
    pub(super) tolerance: Option<Duration>,
    pub(super) id: Option<HeaderName>,
    pub(super) signed: Template,
    pub(super) secret: Encoding,
    pub(super) deduplicate: Deduplicate,
}

/// How the header with the signature is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One signature after this text.
    Prefixed(String),
    /// `t=TIME,v1=SIGNATURE,v1=SIGNATURE`, other names aside.
    Pairs,
    /// `v1,SIGNATURE v1,SIGNATURE`, other versions aside.
    Listed,
}

impl Recipe {
    /// # Errors
    /// `config/invalid-value` with what is wrong about the options.
    pub(super) fn new(sender: &Sender) -> Result<Recipe, Fault> {
        match sender {
            Sender::GitHub => presets::github(),
            Sender::Stripe => presets::stripe(),
            Sender::Shopify => presets::shopify(),
            Sender::Slack => presets::slack(),
            Sender::StandardWebhooks => presets::standard("webhook"),
            Sender::Svix => presets::standard("svix"),
            Sender::Hmac(hmac) => generic(hmac),
        }
    }

    /// One signature of the body in a header, in hexadecimal digits, by HMAC-SHA256.
    pub(super) fn of_body(header: &str) -> Result<Recipe, Fault> {
        Ok(Recipe {
            header: header_name(header)?,
            shape: Shape::Prefixed(String::new()),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            timestamp: None,
            tolerance: None,
            id: None,
            signed: Template::parse("{body}")?,
            secret: Encoding::Text,
            deduplicate: Deduplicate::Off,
        })
    }

    pub(super) fn has_timestamp(&self) -> bool {
        self.timestamp.is_some() || self.shape == Shape::Pairs
    }
}

fn generic(hmac: &Hmac) -> Result<Recipe, Fault> {
    if hmac.encoding == Encoding::Text {
        return Err(invalid("a signature is written in hex or base64").at_pointer("/encoding"));
    }
    let recipe = Recipe {
        shape: Shape::Prefixed(hmac.prefix.clone()),
        algorithm: hmac.algorithm,
        encoding: hmac.encoding,
        timestamp: hmac.timestamp.as_ref().map(|timestamp| header_name(&timestamp.header)).transpose()?,
        tolerance: hmac.timestamp.as_ref().and_then(|timestamp| timestamp.tolerance),
        id: hmac.id.as_deref().map(header_name).transpose()?,
        signed: Template::parse(&hmac.signed).map_err(|fault| fault.at_pointer("/signed"))?,
        secret: hmac.secret,
        // An id that is named is there to tell deliveries apart.
        deduplicate: if hmac.id.is_some() { Deduplicate::Delivery } else { Deduplicate::Off },
        ..Recipe::of_body(&hmac.header)?
    };
    let signed = &recipe.signed;
    if signed.needs_timestamp() && recipe.timestamp.is_none() {
        return Err(invalid("`{timestamp}` is signed, but no header with it is named").at_pointer("/signed"));
    }
    if signed.needs_id() && recipe.id.is_none() {
        return Err(invalid("`{id}` is signed, but no header with it is named").at_pointer("/signed"));
    }
    if recipe.timestamp.is_some() && !signed.needs_timestamp() {
        let reason = "the time is not signed, so that anybody could change it: put `{timestamp}` into `signed`";
        return Err(invalid(reason).at_pointer("/timestamp"));
    }
    Ok(recipe)
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, Fault> {
    name.parse().map_err(|_| invalid(format!("`{}` is no name of a header", name.escape_debug())))
}
