//! From a thread to a running shard: runtime, connection, source, rooms.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use connectors::Source as _;
use connectors::http::sink::Tls;
use connectors::http::source::{HttpSource, SourceOptions};
use message::{Code, Fault};
use nats::Connection;
use script::{Executor, ThreadExecutor, ThreadOptions};
use tokio::sync::mpsc;

use super::{Command, Parts, Shard, now_ms, secret};
use crate::engine::delivery::Delivery;
use crate::engine::ingress::Ingress;
use crate::engine::observe::Events;
use crate::engine::registry::{Prepared, Registry};
use crate::engine::settings::Settings;
use crate::engine::settlement::Settlement;
use crate::engine::steps::Steps;

/// How long a shard that has ended waits for writes to files and to standard output, which may never end.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

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
pub fn run_shard(mut start: Start) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault = Fault::new(Code::InternalPanic, format!("no runtime: {error}"));
            let _ = start.started.send(Err(fault));
            return false;
        }
    };
    let tasks = tokio::task::LocalSet::new();
    let is_finished = tasks.block_on(&runtime, async move {
        match open(&mut start).await {
            Ok((shard, connection)) => {
                let _ = start.started.send(Ok(connection.max_payload()));
                shard.run(connection, start.commands).await
            }
            Err(fault) => {
                let _ = start.started.send(Err(fault));
                false
            }
        }
    });
    drop(tasks);
    runtime.shutdown_timeout(WRITE_TIMEOUT);
    is_finished
}

async fn open(start: &mut Start) -> Result<(Rc<Shard>, Connection), Fault> {
    let options = start.settings.nats.options()?.name(format!("vrsky-shard-{}", start.number));
    let connection = Connection::connect(options).await?;
    // Nothing else holds the listener: a drain closes it, and whoever comes then is refused.
    let source = start.listener.take().map(source).transpose()?;
    let mut parts = parts(start, source.clone())?;
    let max_payload = connection.max_payload();
    parts.settlement.set_max_payload(max_payload);
    parts.pull_lanes();
    // What may wait for scripts is the steps' to say, customer by customer: a bound for all would be one's to fill.
    let options = ThreadOptions { tasks: usize::MAX, bytes: usize::MAX, ..ThreadOptions::default() };
    let executor = ThreadExecutor::new(options)
        .map_err(|error| Fault::new(Code::ScriptUnavailable, format!("no thread for scripts: {error}")))?;
    let executor: Rc<dyn Executor> = Rc::new(executor);
    for prepared in &start.pipelines {
        prepared.check_size(max_payload)?;
        parts.install(prepared, prepared.load(&executor));
    }
    if let Some(source) = &source {
        source.connect().await?;
    }
    let shard = Shard::new(parts, connection.outbox(), executor);
    // What the installs have left to be done elsewhere.
    shard.with(|_| ());
    Ok((shard, connection))
}

fn source(listener: TcpListener) -> Result<Rc<HttpSource>, Fault> {
    Ok(Rc::new(HttpSource::new(listener, SourceOptions::default())?))
}

fn parts(start: &Start, source: Option<Rc<HttpSource>>) -> Result<Parts, Fault> {
    let name = format!("{:016x}{}", fastrand::u64(..), start.number);
    let settings = Arc::clone(&start.settings);
    let settlement = Settlement::new(&name, secret()?, Arc::clone(&start.events), now_ms());
    let delivery = Delivery::new(&settings, start.tls.clone())?;
    let (registry, ingress) = (Registry::new(start.number), Ingress::new(source));
    Ok(Parts::new(settings, settlement, registry, ingress, Steps::default(), delivery, start.number))
}
