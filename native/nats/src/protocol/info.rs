//! What the server says of itself: first thing on a connection, and again when it changes.

use serde::Deserialize;

use super::ProtocolError;

/// The parts of INFO that matter to a client; a server leaves out what does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    /// Headers and payload of one message, bytes.
    pub max_payload: usize,
    /// Whether the server takes messages with headers.
    pub headers: bool,
    pub jetstream: bool,
    pub domain: String,
    pub auth_required: bool,
    pub tls_required: bool,
    /// Takes both, with TLS and without.
    pub tls_available: bool,
    /// Wants a certificate of the client.
    pub tls_verify: bool,
    pub client_id: u64,
    /// To be signed by who connects with a key.
    pub nonce: String,
    /// Addresses of the cluster's other servers.
    pub connect_urls: Vec<String>,
    /// Lame duck mode: the server is about to shut down.
    pub ldm: bool,
}

impl ServerInfo {
    /// # Errors
    /// When `json` is not an object of these fields.
    pub fn parse(json: &[u8]) -> Result<ServerInfo, ProtocolError> {
        serde_json::from_slice(json).map_err(|_| ProtocolError::Arguments)
    }
}
