//! What a node is told when it is made.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use connectors::http::guard::Network;
use message::{Code, Fault};
use nats::jetstream::Api;
use nats::{Auth, TlsOptions};
use serde::{Deserialize, Serialize};

use super::subjects::{self, Lane, LaneType};
use crate::model::Ceilings;

/// What a node is told when it is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub nats: NatsSettings,
    /// How the whole deployment serves the steps of its pipelines.
    #[serde(default)]
    pub topology: Topology,
    /// What of the way it serves; all of it unless told otherwise. Those that the topology does not have are passed over.
    #[serde(default = "NodeType::all")]
    pub types: Vec<NodeType>,
    /// Where HTTP pipelines listen; none without it.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Descriptors of listening sockets that this process was given; used in place of `listen`.
    #[serde(default)]
    pub inherited: Vec<i32>,
    /// Shards.
    #[serde(default = "one")]
    pub threads: u32,
    /// Lane streams per node type and tier.
    #[serde(default = "one")]
    pub lanes: u32,
    /// The one customer that it serves, which has lanes of its own; without it those of the shared lanes.
    #[serde(default)]
    pub customer: Option<Box<str>>,
    /// Customers whose ins take nothing in, since they move to other lanes; what is in their lanes goes on.
    #[serde(default)]
    pub closed: BTreeSet<Box<str>>,
    /// The tiers whose streams exist.
    #[serde(default)]
    pub tiers: Vec<String>,
    /// The folder of file outs, in which each customer has its own.
    pub files: PathBuf,
    /// Whether outgoing connections may go to loopback.
    #[serde(default)]
    pub allow_loopback: bool,
    /// Networks that outgoing connections may reach though they are not public.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Whether file outs may name absolute paths, which lead to any customer's files and to any other.
    #[serde(default)]
    pub absolute_files: bool,
    /// Failures in a row after which an out's messages are parked. The default is reached in about 3 s.
    #[serde(default = "five")]
    pub park_after: u32,
    /// Seconds after which a message whose pipeline or out is not here is set aside.
    #[serde(default = "sixty")]
    pub set_aside_after: u32,
    /// Whether sources that cannot be shared are read by a lease alone, since other nodes have the same pipelines.
    #[serde(default)]
    pub leases: bool,
    /// The server's, where it is known before the node starts: what asks for more is refused alone then, and does not
    /// keep the node from starting.
    #[serde(default)]
    pub max_payload: Option<usize>,
    /// What pipelines may ask for; one that asks for more is refused.
    #[serde(default)]
    pub ceilings: Ceilings,
}

/// Where the NATS server is, and who we are there.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    pub url: String,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub token: Option<String>,
    /// Authorities to believe instead of the system's; this and the two below are PEM files.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The certificate to show to the server.
    #[serde(default)]
    pub cert: Option<PathBuf>,
    /// Its key.
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// TLS from the first byte, for a server with `handshake_first`.
    #[serde(default)]
    pub tls_first: bool,
    /// A creds file: the JWT of a user and its seed.
    #[serde(default)]
    pub creds: Option<PathBuf>,
    /// A file with the seed of a user's NKey.
    #[serde(default)]
    pub nkey: Option<PathBuf>,
    /// Whether servers are used that others tell of.
    #[serde(default = "yes")]
    pub discover: bool,
    /// JetStream's domain, where it is not the server's own.
    #[serde(default)]
    pub domain: Option<String>,
    /// What subjects of JetStream's API begin with, instead of `$JS.API`.
    #[serde(default)]
    pub api_prefix: Option<String>,
}

impl NatsSettings {
    /// How the driver connects.
    ///
    /// # Errors
    /// `config/invalid-value` for an address that is none, for what is no domain or prefix, and for both of them.
    pub fn options(&self) -> Result<nats::Options, Fault> {
        let (ca, cert, key) = (self.ca.clone(), self.cert.clone(), self.key.clone());
        let tls = TlsOptions { required: false, first: self.tls_first, ca, cert, key };
        let mut options = nats::Options::new(&self.url)?.tls(tls);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            options = options.user(user, password);
        }
        if let Some(token) = &self.token {
            options = options.token(token);
        }
        for auth in [self.creds.clone().map(Auth::Creds), self.nkey.clone().map(Auth::Nkey)].into_iter().flatten() {
            options.auth = auth;
        }
        options.discover = self.discover;
        options.api = self.api()?;
        Ok(options)
    }
}

impl NatsSettings {
    fn api(&self) -> Result<Api, Fault> {
        match (&self.domain, &self.api_prefix) {
            (None, None) => Ok(Api::default()),
            (Some(domain), None) => Api::of_domain(domain),
            (None, Some(prefix)) => Api::with_prefix(prefix),
            (Some(_), Some(_)) => {
                Err(Fault::new(Code::ConfigInvalidValue, "a JetStream domain and an API prefix exclude each other"))
            }
        }
    }
}

/// For a connection that is not the engine's: signs a server's nonce with what is in the file, of creds or of an NKey.
/// Gives the JWT or the public key, and the signature. Blocks.
///
/// # Errors
/// `config/invalid-value`, which names the file and nothing that is in it.
pub fn sign_nonce(
    file: PathBuf,
    is_creds: bool,
    nonce: &str,
) -> Result<(Option<String>, Option<String>, String), Fault> {
    let auth = if is_creds { Auth::Creds(file) } else { Auth::Nkey(file) };
    let proof = auth.prove(nonce)?.map(|proof| (proof.jwt, proof.nkey, proof.signature));
    Ok(proof.unwrap_or_default())
}

impl Settings {
    #[must_use]
    pub fn serves(&self, node_type: NodeType) -> bool {
        self.types.contains(&node_type) && self.topology.types().contains(&node_type)
    }

    /// Whether it runs steps.
    #[must_use]
    pub fn serves_steps(&self) -> bool {
        self.lane_types().any(LaneType::is_for_steps)
    }

    /// The lanes that it takes messages from.
    pub fn lane_types(&self) -> impl Iterator<Item = LaneType> {
        let types = NodeType::ALL.into_iter().filter(|node_type| self.serves(*node_type));
        types.filter_map(NodeType::lane)
    }

    /// The lanes of each type and tier.
    #[must_use]
    pub fn lanes(&self) -> Vec<Lane> {
        match &self.customer {
            Some(customer) => vec![Lane::Own(customer.clone())],
            None => (0..self.lanes).map(Lane::Shared).collect(),
        }
    }

    /// The lane of a customer's messages.
    #[must_use]
    pub fn lane_of(&self, customer: &str) -> Lane {
        match &self.customer {
            Some(_) => Lane::Own(customer.into()),
            None => Lane::Shared(subjects::lane_of(customer, self.lanes)),
        }
    }

    /// The lanes that the topology does not have, but where another one may have left messages: this node takes them.
    #[must_use]
    pub fn leftover_lanes(&self) -> &'static [LaneType] {
        match self.topology {
            Topology::Fused if self.serves(NodeType::Logic) => &[LaneType::Converter, LaneType::Filter],
            Topology::Split if self.serves(NodeType::Converter) => &[LaneType::Logic],
            Topology::Fused | Topology::Split => &[],
        }
    }

    /// Whether it takes messages from such lanes, of its topology or left by another one.
    #[must_use]
    pub fn reads(&self, lane_type: LaneType) -> bool {
        self.lane_types().any(|one| one == lane_type) || self.leftover_lanes().contains(&lane_type)
    }

    /// What `allow` names.
    ///
    /// # Errors
    /// `config/invalid-value` for what is no network.
    pub fn networks(&self) -> Result<Vec<Network>, Fault> {
        self.allow.iter().map(|network| Network::parse(network)).collect()
    }
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("user", &self.user).finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn five() -> u32 {
    5
}

fn sixty() -> u32 {
    60
}

/// How a deployment serves the steps of its pipelines: one setting of all of its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// All steps of a message in one go: `logic`.
    #[default]
    Fused,
    /// Each run of steps of one kind by a node type of its own, from lanes of its own: `converter` and `filter`.
    Split,
}

impl Topology {
    pub const ALL: [Topology; 2] = [Topology::Fused, Topology::Split];

    /// The node types that it has.
    #[must_use]
    pub const fn types(self) -> &'static [NodeType] {
        match self {
            Topology::Fused => &[NodeType::Incoming, NodeType::Logic, NodeType::Outgoing],
            Topology::Split => &[NodeType::Incoming, NodeType::Converter, NodeType::Filter, NodeType::Outgoing],
        }
    }
}

/// Which part of a message's way a node serves. `vrsky run` serves all of it; a cluster runs each type
/// as a deployment of its own, so that it scales by its own load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeType {
    /// HTTP and NATS ins. Where the topology is fused, a NATS in is taken through its steps where it comes in: no lane lies
    /// between.
    Incoming,
    /// All steps, of what HTTP ins have stored.
    Logic,
    /// Runs of steps that change messages: `convert`, `set`, `rename`, `remove`, `script`.
    Converter,
    /// Runs of steps that decide: `filter`, `route`. Also pipelines without steps.
    Filter,
    /// Outs that are not NATS.
    Outgoing,
}

impl NodeType {
    pub const ALL: [NodeType; 5] =
        [NodeType::Incoming, NodeType::Logic, NodeType::Converter, NodeType::Filter, NodeType::Outgoing];

    /// The lane that it takes its messages from.
    #[must_use]
    pub const fn lane(self) -> Option<LaneType> {
        match self {
            NodeType::Incoming => None,
            NodeType::Logic => Some(LaneType::Logic),
            NodeType::Converter => Some(LaneType::Converter),
            NodeType::Filter => Some(LaneType::Filter),
            NodeType::Outgoing => Some(LaneType::Outgoing),
        }
    }

    fn all() -> Vec<NodeType> {
        NodeType::ALL.to_vec()
    }
}
