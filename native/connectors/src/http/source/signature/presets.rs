//! How well-known senders sign, by their own pages.

use std::time::Duration;

use message::Fault;

use super::options::{Deduplicate, Encoding};
use super::recipe::{Recipe, Shape, header_name};
use super::template::Template;

/// What these senders recommend.
const TOLERANCE: Duration = Duration::from_secs(300);

/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
pub(super) fn github() -> Result<Recipe, Fault> {
    Ok(Recipe {
        shape: Shape::Prefixed("sha256=".into()),
        id: Some(header_name("x-github-delivery")?),
        deduplicate: Deduplicate::Delivery,
        ..Recipe::of_body("x-hub-signature-256")?
    })
}

/// <https://docs.stripe.com/webhooks/signature>. Its events have their id in the body alone.
pub(super) fn stripe() -> Result<Recipe, Fault> {
    Ok(Recipe {
        shape: Shape::Pairs,
        tolerance: Some(TOLERANCE),
        signed: Template::parse("{timestamp}.{body}")?,
        deduplicate: Deduplicate::Content,
        ..Recipe::of_body("stripe-signature")?
    })
}

/// <https://shopify.dev/docs/apps/build/webhooks/subscribe/https>
pub(super) fn shopify() -> Result<Recipe, Fault> {
    Ok(Recipe {
        encoding: Encoding::Base64,
        id: Some(header_name("x-shopify-webhook-id")?),
        deduplicate: Deduplicate::Delivery,
        ..Recipe::of_body("x-shopify-hmac-sha256")?
    })
}

/// <https://docs.slack.dev/authentication/verifying-requests-from-slack>. Its events, commands and interactions have
/// their id in the body alone.
pub(super) fn slack() -> Result<Recipe, Fault> {
    Ok(Recipe {
        shape: Shape::Prefixed("v0=".into()),
        timestamp: Some(header_name("x-slack-request-timestamp")?),
        tolerance: Some(TOLERANCE),
        signed: Template::parse("v0:{timestamp}:{body}")?,
        deduplicate: Deduplicate::Content,
        ..Recipe::of_body("x-slack-signature")?
    })
}

/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>; Svix, where it comes
/// from, names its headers otherwise.
pub(super) fn standard(prefix: &str) -> Result<Recipe, Fault> {
    Ok(Recipe {
        shape: Shape::Listed,
        encoding: Encoding::Base64,
        timestamp: Some(header_name(&format!("{prefix}-timestamp"))?),
        tolerance: Some(TOLERANCE),
        id: Some(header_name(&format!("{prefix}-id"))?),
        signed: Template::parse("{id}.{timestamp}.{body}")?,
        secret: Encoding::Base64,
        deduplicate: Deduplicate::Delivery,
        ..Recipe::of_body(&format!("{prefix}-signature"))?
    })
}
