//! From a thread to a running shard: runtime, connection, source, state.

use std::collections::HashMap;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use connectors::Source as _;
use connectors::http::sink::Tls;
use connectors::http::source::HttpSource;
use connectors::http::source::SourceOptions;
use message::{Code, Fault};
use nats::Connection;
use script::{Executor, ThreadExecutor, ThreadOptions};
use tokio::sync::mpsc;

use super::connect::Connects;
use super::core::Core;
use super::events::Events;
use super::install::Prepared;
use super::node::Settings;
use super::node_type::NodeType;
use super::publish::{Inbox, Publisher};
use super::pulls::{Feed, Pulls};
use super::shard::{Command, Shard, now_ms};
use super::sinks::Sinks;
use super::subjects;

/// What a shard is made of.
pub struct Start {
    pub number: usize,
    pub settings: Arc<Settings>,
    pub events: Arc<Events>,
    pub listener: Option<TcpListener>,
    pub tls: Tls,
    pub pipelines: Vec<Arc<Prepared>>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Told the server's `max_payload`.
    pub started: Sender<Result<usize, Fault>>,
}

/// The shard's thread, from beginning to end; `true` when its drain finished everything in hand.
pub fn run_shard(start: Start) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault = Fault::new(Code::InternalPanic, format!("no runtime: {error}"));
            let _ = start.started.send(Err(fault));
            return false;
        }
    };
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async move {
        let Start { commands, started, .. } = &start;
        let _ = commands;
        match open(&start).await {
            Ok((shard, connection)) => {
                let _ = started.send(Ok(connection.max_payload()));
                shard.run(connection, start.commands).await
            }
            Err(fault) => {
                let _ = started.send(Err(fault));
                false
            }
        }
    })
}

async fn open(start: &Start) -> Result<(Rc<Shard>, Connection), Fault> {
    let options = start.settings.nats.options()?.name(format!("vrsky-shard-{}", start.number));
    let connection = Connection::connect(options).await?;
    let source = match &start.listener {
        Some(listener) => {
            let listener =
                listener.try_clone().map_err(|error| Fault::new(Code::HttpUnavailable, error.to_string()))?;
            Some(Rc::new(HttpSource::new(listener, SourceOptions::default())?))
        }
        None => None,
    };
    let mut core = core(start, source)?;
    core.publisher.max_payload = connection.max_payload();
    let scripts = ThreadExecutor::new(ThreadOptions::default())
        .map_err(|error| Fault::new(Code::ScriptUnavailable, format!("no thread for scripts: {error}")))?;
    let executor: Rc<dyn Executor> = Rc::new(scripts);
    let mut unconnected = Vec::new();
    for prepared in &start.pipelines {
        prepared.check_size(connection.max_payload())?;
        core.install(prepared, prepared.load(&executor), &mut unconnected);
    }
    if let Some(source) = &core.source {
        source.connect().await?;
    }
    Ok((Shard::new(core, connection.outbox(), executor), connection))
}

fn core(start: &Start, source: Option<Rc<HttpSource>>) -> Result<Core, Fault> {
    let inbox = Inbox::new(&format!("{:016x}{}", fastrand::u64(..), start.number));
    let mut pulls = Pulls::default();
    for tier in &start.settings.tiers {
        for lane in 0..start.settings.lanes {
            for lane_type in NodeType::ALL.into_iter().filter(|t| start.settings.serves(*t)).filter_map(NodeType::lane)
            {
                let stream = subjects::stream(lane_type, tier, lane);
                pulls.add(Feed::Lane(lane_type), &stream, lane_type.as_str(), &inbox);
            }
        }
    }
    Ok(Core {
        settings: Arc::clone(&start.settings),
        shard_number: start.number,
        pipelines: HashMap::new(),
        bindings: Vec::new(),
        subjects: HashMap::new(),
        next_subject: 0,
        publisher: Publisher::new(inbox),
        pulls,
        queues: HashMap::new(),
        hungry: Vec::new(),
        untended: Vec::new(),
        crowded: Vec::new(),
        park_after: start.settings.park_after,
        waiting: Default::default(),
        scripts_stuck: false,
        large: Default::default(),
        sinks: Sinks::new(&start.settings, start.tls.clone())?,
        connects: Connects::new(),
        source,
        announced: Default::default(),
        events: Arc::clone(&start.events),
        now_ms: now_ms(),
        draining: false,
        connected: false,
        late: Vec::new(),
        last: None,
        spare: Default::default(),
        arena: Vec::new(),
    })
}
