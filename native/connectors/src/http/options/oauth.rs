//! Tokens of an HTTP out that the node asks for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::{HeaderText, Secret, UrlText};

/// A token that the node asks for by the client's own credentials (RFC 6749, 4.4), keeps, and replaces shortly before
/// its end and when the server answers 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Auth {
    /// Where, and by which credentials.
    pub oauth2: Oauth2,
}

/// Where a token is asked for, and by which credentials. `timeout`, `tls` and the check of addresses are those of
/// the out. While there is no token, messages wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    /// The token server's URL, without fields of the message.
    pub token_url: UrlText,
    /// The client's id.
    #[schemars(length(min = 1, max = 1024))]
    pub client_id: HeaderText,
    /// The client's secret.
    pub client_secret: Secret,
    /// What the token is to allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub scopes: Vec<HeaderText>,
    /// Whom the token is for, where the token server asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<HeaderText>,
    /// Where the client's id and secret stand.
    #[serde(default)]
    pub auth_style: OauthStyle,
}

/// Where the client's id and secret stand (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OauthStyle {
    /// In the header `Authorization`.
    #[default]
    Basic,
    /// In the body's form.
    Body,
}
