//! The node as its host sees it: configure, install, start, watch, drain.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use connectors::http::guard::Network;
use connectors::http::sink::Tls;
use connectors::http::source::listen;
use message::{Code, Fault};
use nats::TlsOptions;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::check::Finding;
use super::events::{Event, Events};
use super::health::{self, Condition};
use super::install::{Prepared, Secrets};
use super::metrics::{Counters, Metric};
use super::node_type::NodeType;
use super::shard::Command;
use super::start::{Start, run_shard};
use crate::compile::Pipeline;

/// What a node is told when it is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub nats: NatsSettings,
    /// What of the way it serves; all of it unless told otherwise.
    #[serde(default = "NodeType::all")]
    pub types: Vec<NodeType>,
    /// Where HTTP pipelines listen; none without it.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    /// Shards.
    #[serde(default = "one")]
    pub threads: u32,
    /// Lane streams per node type and tier.
    #[serde(default = "one")]
    pub lanes: u32,
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
}

impl NatsSettings {
    pub(super) fn options(&self) -> Result<nats::Options, Fault> {
        let (ca, cert, key) = (self.ca.clone(), self.cert.clone(), self.key.clone());
        let tls = TlsOptions { required: false, first: self.tls_first, ca, cert, key };
        let mut options = nats::Options::new(&self.url)?.tls(tls);
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            options = options.user(user, password);
        }
        if let Some(token) = &self.token {
            options = options.token(token);
        }
        Ok(options)
    }
}

impl Settings {
    #[must_use]
    pub fn serves(&self, node_type: NodeType) -> bool {
        self.types.contains(&node_type)
    }

    /// What `allow` names.
    pub(super) fn networks(&self) -> Result<Vec<Network>, Fault> {
        self.allow.iter().map(|network| Network::parse(network)).collect()
    }
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSettings").field("user", &self.user).finish_non_exhaustive()
    }
}

fn one() -> u32 {
    1
}

fn five() -> u32 {
    5
}

/// A running node. `Send + Sync`: its shards are reached by messages only.
pub struct Node {
    settings: Arc<Settings>,
    events: Arc<Events>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    installed: BTreeMap<(String, String), Arc<Prepared>>,
    shards: Vec<Shard>,
    /// Of the server, since the start.
    max_payload: Option<usize>,
    address: Option<SocketAddr>,
}

struct Shard {
    commands: mpsc::UnboundedSender<Command>,
    thread: JoinHandle<bool>,
}

/// What a pipeline has counted and how its connectors are, all shards together.
#[derive(Serialize)]
pub struct PipelineStats {
    pub customer: String,
    pub pipeline: String,
    pub revision: String,
    /// Only what this node looks after, and not before it has looked once.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub input: Option<Condition>,
    pub outs: BTreeMap<String, Condition>,
    #[serde(flatten)]
    pub counters: BTreeMap<&'static str, u64>,
}

impl Node {
    pub fn new(settings: Settings) -> Result<Node, Fault> {
        if settings.threads == 0 || settings.threads > 64 {
            return Err(Fault::new(Code::ConfigInvalidValue, "threads has to be 1 to 64"));
        }
        if settings.lanes == 0 || settings.lanes > 8 {
            return Err(Fault::new(Code::ConfigInvalidValue, "lanes has to be 1 to 8"));
        }
        if settings.types.is_empty() {
            return Err(Fault::new(Code::ConfigInvalidValue, "types has to name what the node serves"));
        }
        settings.networks()?;
        Ok(Node { settings: Arc::new(settings), events: Arc::default(), state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a compiled pipeline in place of its earlier revision, on every shard. What is in hand
    /// finishes under the revision it began with.
    pub fn install(&self, pipeline: Arc<Pipeline>, secrets: Secrets) -> Result<(), Fault> {
        let mut state = self.state();
        let key = (pipeline.customer().to_owned(), pipeline.name().to_owned());
        let counters = match state.installed.get(&key) {
            Some(earlier) => earlier.counters.clone(),
            None => (0..self.settings.threads).map(|_| Arc::new(Counters::default())).collect(),
        };
        let prepared = Prepared::new(pipeline, secrets, counters, &self.settings)?;
        check_route(&state.installed, &key, &prepared)?;
        check_durable(&state.installed, &key, &prepared)?;
        state.max_payload.map_or(Ok(()), |max_payload| prepared.check_size(max_payload))?;
        let prepared = Arc::new(prepared);
        for shard in &state.shards {
            // A shard that has ended takes nothing more; `drain` has said so.
            let _ = shard.commands.send(Command::Install(Arc::clone(&prepared)));
        }
        state.installed.insert(key, prepared);
        Ok(())
    }

    /// Binds, connects, and starts the shards; returns when all of them run.
    pub fn start(&self) -> Result<(), Fault> {
        let mut state = self.state();
        if !state.shards.is_empty() {
            return Err(Fault::new(Code::ConfigConflict, "the node runs already"));
        }
        let threads = self.settings.threads as usize;
        let mut listeners = match self.settings.listen {
            Some(address) if self.settings.serves(NodeType::Incoming) => listen(address, threads)?,
            _ => Vec::new(),
        };
        state.address = listeners.first().and_then(|listener| listener.local_addr().ok());
        let tls = Tls::new(None)?;
        let mut ready: Vec<Receiver<Result<usize, Fault>>> = Vec::new();
        for number in 0..threads {
            let (started, started_here): (Sender<_>, _) = channel();
            let (commands, commands_there) = mpsc::unbounded_channel();
            let start = Start {
                number,
                settings: Arc::clone(&self.settings),
                events: Arc::clone(&self.events),
                listener: listeners.pop(),
                tls: tls.clone(),
                pipelines: state.installed.values().cloned().collect(),
                commands: commands_there,
                started,
            };
            let thread = std::thread::Builder::new()
                .name(format!("vrsky-shard-{number}"))
                .spawn(move || run_shard(start))
                .map_err(|error| Fault::new(Code::ConfigInvalidValue, format!("no thread: {error}")))?;
            state.shards.push(Shard { commands, thread });
            ready.push(started_here);
        }
        let results = ready.into_iter().map(|one| {
            one.recv().unwrap_or_else(|_| Err(Fault::new(Code::InternalPanic, "a shard ended while it started")))
        });
        // All of them have answered, whatever the first one says.
        let results: Vec<Result<usize, Fault>> = results.collect();
        match results.into_iter().collect::<Result<Vec<usize>, Fault>>() {
            Ok(sizes) => {
                state.max_payload = sizes.into_iter().min();
                Ok(())
            }
            Err(fault) => {
                end(std::mem::take(&mut state.shards), Duration::ZERO);
                Err(fault)
            }
        }
    }

    /// Whether the connectors of a pipeline would work here, with whatever secrets there are. Installs
    /// and starts nothing; blocks for some seconds at most.
    pub fn check(&self, pipeline: &Arc<Pipeline>, secrets: &Secrets) -> Result<Vec<Finding>, Fault> {
        super::check::check(pipeline, secrets, &self.settings)
    }

    /// Where HTTP pipelines are served.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.state().address
    }

    #[must_use]
    pub fn stats(&self) -> Vec<PipelineStats> {
        let state = self.state();
        let stats = state.installed.values().map(|prepared| PipelineStats {
            customer: prepared.pipeline.customer().to_owned(),
            pipeline: prepared.pipeline.name().to_owned(),
            revision: prepared.pipeline.revision().to_owned(),
            input: health::of_in(prepared.health.iter().map(Arc::as_ref)),
            outs: outs(prepared),
            counters: Metric::ALL
                .iter()
                .map(|metric| (metric.as_str(), prepared.counters.iter().map(|c| c.get(*metric)).sum()))
                .collect(),
        });
        stats.collect()
    }

    /// `internal/panic` when a shard has ended by itself: what it had in hand comes again elsewhere, and the
    /// process had better begin anew.
    pub fn check_shards(&self) -> Result<(), Fault> {
        match self.state().shards.iter().position(|shard| shard.thread.is_finished()) {
            None => Ok(()),
            Some(number) => Err(Fault::new(Code::InternalPanic, format!("shard {number} has ended"))),
        }
    }

    /// Everything that was noted since the last call; see [`Events`].
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Stops intake, finishes what is in hand until the deadline, sends the rest back to its
    /// stream. Blocks until every shard has ended; `true` when nothing had to be sent back.
    pub fn drain(&self, deadline: Duration) -> bool {
        let shards = std::mem::take(&mut self.state().shards);
        end(shards, deadline)
    }
}

fn outs(prepared: &Prepared) -> BTreeMap<String, Condition> {
    let outs = prepared.pipeline.outs().iter().enumerate().filter_map(|(target, out)| {
        let condition = health::of_out(prepared.health.iter().map(Arc::as_ref), target)?;
        Some((out.name.clone(), condition))
    });
    outs.collect()
}

fn end(shards: Vec<Shard>, deadline: Duration) -> bool {
    for shard in &shards {
        let _ = shard.commands.send(Command::Drain(deadline));
    }
    // All are joined, whatever the first one says.
    let ended: Vec<bool> = shards.into_iter().map(|shard| shard.thread.join().unwrap_or(false)).collect();
    ended.into_iter().all(|ok| ok)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.drain(Duration::ZERO);
    }
}

/// Two pipelines of a customer cannot listen on the same path.
fn check_route(
    installed: &BTreeMap<(String, String), Arc<Prepared>>,
    key: &(String, String),
    new: &Prepared,
) -> Result<(), Fault> {
    let Some(path) = new.pipeline.http_path() else { return Ok(()) };
    let taken = installed
        .iter()
        .find(|(other, prepared)| *other != key && other.0 == key.0 && prepared.pipeline.http_path() == Some(path));
    match taken {
        None => Ok(()),
        Some(((_, other), _)) => {
            let reason = format!("pipeline `{other}` already listens on {path}");
            Err(Fault::new(Code::ConfigConflict, reason).at_pointer("/in/http/path"))
        }
    }
}

/// Two pipelines on one durable consumer would each get a part of the other's messages.
fn check_durable(
    installed: &BTreeMap<(String, String), Arc<Prepared>>,
    key: &(String, String),
    new: &Prepared,
) -> Result<(), Fault> {
    let Some(consumer) = new.pipeline.input().consumer() else { return Ok(()) };
    let taken = installed
        .iter()
        .find(|(other, prepared)| *other != key && prepared.pipeline.input().consumer() == Some(consumer));
    match taken {
        None => Ok(()),
        Some(((customer, pipeline), _)) => {
            let (stream, durable) = consumer;
            let reason = format!("{customer}/{pipeline} already reads the stream {stream} by the durable {durable}");
            Err(Fault::new(Code::ConfigConflict, reason).at_pointer("/in/nats/durable"))
        }
    }
}
