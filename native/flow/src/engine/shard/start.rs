//! From a thread to a running shard: runtime, connection, source, rooms.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use connectors::http::source::RoutedSource;
use message::{Code, Fault};
use nats::Connection;
use tokio::sync::mpsc;

use super::leases::Leases;
use super::{Command, Parts, Shard};
use crate::engine::delivery::Delivery;
use crate::engine::ingress::Ingress;
use crate::engine::observe::{Events, Meters};
use crate::engine::registry::{Prepared, Registry};
use crate::engine::settings::Settings;
use crate::engine::settlement::Settlement;
use crate::engine::steps::Steps;
use crate::engine::world::{Lease, World};

/// How long a shard that has ended waits for writes to files and to standard output, which may never end.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// What a shard is made of.
pub struct Start {
    pub number: usize,
    pub settings: Arc<Settings>,
    pub events: Arc<Events>,
    pub meters: Arc<Meters>,
    /// The node's, of sources that one node alone may read.
    pub lease: Arc<Lease>,
    pub pipelines: Vec<Arc<Prepared>>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Told the server's `max_payload`.
    pub started: Sender<Result<usize, Fault>>,
}

/// The shard's thread, from beginning to end; `true` when its drain finished everything in hand. `world` is made on it.
pub fn run_shard(start: Start, world: impl FnOnce() -> Rc<dyn World>) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault = Fault::new(Code::InternalPanic, format!("no runtime: {error}"));
            let _ = start.started.send(Err(fault));
            return false;
        }
    };
    let tasks = tokio::task::LocalSet::new();
    let is_finished = tasks.block_on(&runtime, async move { run_in(world(), start).await });
    drop(tasks);
    runtime.shutdown_timeout(WRITE_TIMEOUT);
    is_finished
}

/// A shard, from beginning to end; `true` when its drain finished everything in hand. In a local set.
pub async fn run_in(world: Rc<dyn World>, start: Start) -> bool {
    match open(world, &start).await {
        Ok((shard, connection)) => {
            let _ = start.started.send(Ok(connection.max_payload()));
            shard.run(connection, start.commands).await
        }
        Err(fault) => {
            let _ = start.started.send(Err(fault));
            false
        }
    }
}

async fn open(world: Rc<dyn World>, start: &Start) -> Result<(Rc<Shard>, Connection), Fault> {
    let options = start.settings.nats.options()?.name(format!("vrsky-shard-{}", start.number));
    let connection = Connection::connect_over(world.network(), options).await?;
    let source = world.source()?;
    let mut parts = parts(&world, start, source.clone())?;
    let max_payload = connection.max_payload();
    parts.settlement.set_max_payload(max_payload);
    parts.consumers.set_api(connection.outbox().api());
    if start.settings.leases {
        connection.outbox().set_guard(parts.leases.guard());
    }
    parts.pull_lanes();
    let executor = world.executor()?;
    for prepared in &start.pipelines {
        prepared.check_size(max_payload)?;
        parts.install(prepared, prepared.load(&executor));
    }
    if let Some(source) = &source {
        source.connect().await?;
    }
    let shard = Shard::new(world, parts, connection.outbox(), executor);
    // What the installs have left to be done elsewhere.
    shard.with(|_| ());
    Ok((shard, connection))
}

fn parts(world: &Rc<dyn World>, start: &Start, source: Option<Rc<dyn RoutedSource>>) -> Result<Parts, Fault> {
    let mut random = random(&**world)?;
    let name = format!("{:016x}{}", random.u64(..), start.number);
    let settings = Arc::clone(&start.settings);
    let settlement = Settlement::new(&name, world.secret()?, random, Arc::clone(&start.events), world.now_ms())
        .with_meters(Arc::clone(&start.meters));
    let delivery = Delivery::new(&settings, Rc::clone(world))?;
    let (registry, ingress) = (Registry::new(start.number), Ingress::new(source));
    let steps = Steps::new(world.elsewhere());
    let leases = Leases::new(Arc::clone(&start.lease));
    Ok(Parts::new(settings, settlement, registry, ingress, steps, delivery, leases, start.number))
}

/// Of what need not be kept from anybody.
fn random(world: &dyn World) -> Result<fastrand::Rng, Fault> {
    let [a, b, c, d, e, f, g, h, ..] = world.secret()?;
    Ok(fastrand::Rng::with_seed(u64::from_le_bytes([a, b, c, d, e, f, g, h])))
}
