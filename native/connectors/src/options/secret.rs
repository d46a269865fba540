//! Secrets, by reference: no options hold a value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A secret of the pipeline's own customer; its value is never in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Secret {
    /// Its name, 1 to 40 of a-z, 0-9 and inner hyphens, never two in a row. `erp-token` of `acme` is looked for as
    /// the variable `VRSKY_SECRET_ACME__ERP_TOKEN`, then as the file `<dir>/acme/erp-token`.
    #[schemars(extend("format" = "secret-name"))]
    pub secret: String,
}

/// A secret, or several of which each counts, while one takes the place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secrets {
    /// One.
    One(Secret),
    /// Several.
    Several(#[schemars(length(min = 1, max = 8))] Vec<Secret>),
}

/// A secret of the pipeline's own customer, or several of which each counts: one for each sender, or those of one while they
/// are changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SenderSecrets {
    /// One.
    One(Secret),
    /// Several.
    Several(#[schemars(length(min = 1, max = 8))] Vec<SenderSecret>),
}

/// One of several secrets; its value is never in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct SenderSecret {
    /// Its name, as that of one alone.
    #[schemars(extend("format" = "secret-name"))]
    pub secret: String,
    /// Whose it is. Secrets with the same `sender` are one sender's, while one takes the place of another: an
    /// `Idempotency-Key` stands for the same message whichever is used. Without it each secret is a
    /// sender of its own; but deliveries that are told apart by what is signed are one, whichever has signed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "secret-name"))]
    pub sender: Option<String>,
}

impl SenderSecrets {
    #[must_use]
    pub fn list(&self) -> Vec<SenderSecret> {
        match self {
            SenderSecrets::One(one) => vec![SenderSecret { secret: one.secret.clone(), sender: None }],
            SenderSecrets::Several(several) => several.clone(),
        }
    }
}

impl Secrets {
    #[must_use]
    pub fn list(&self) -> &[Secret] {
        match self {
            Secrets::One(one) => std::slice::from_ref(one),
            Secrets::Several(several) => several,
        }
    }

    /// The names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.list().iter().map(|one| one.secret.clone()).collect()
    }
}
