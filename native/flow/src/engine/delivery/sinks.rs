//! From an out of a pipeline file to a sink, and what its tasks share with its queue.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::http::guard::AddressPolicy;
use connectors::kind::{Fence, Gathering, Host, Policy, SourceTask};
use connectors::tls::Tls;
use connectors::{Delivery, Outcome, Sink, Source};
use message::Fault;
use tokio::sync::{Notify, OnceCell};

use super::batching::Batching;
use crate::compile::Pipeline;
use crate::engine::registry::Secrets;
use crate::engine::settings::Settings;
use crate::engine::world::World;

/// A sink, how it is used, and what its tasks wait for.
pub struct Outlet {
    sink: Rc<dyn Sink>,
    /// Deliveries of one `write_batch`.
    pub batching: Batching,
    /// Batches under way at a time.
    pub workers: usize,
    /// How long a delivery is repeated.
    pub retry_for: Duration,
    /// Whether the address depends on the message.
    pub has_placeholders: bool,
    /// The sink is closed soon: one that still waits for its turn to connect need not.
    pub unwanted: Cell<bool>,
    /// Calls of the sink that have not returned; it is closed after them.
    users: Cell<usize>,
    closed: OnceCell<()>,
    /// Notified when there may be something to deliver.
    pub arrived: Notify,
    /// Notified when something happened that the parking task waits for.
    pub changed: Notify,
    /// Notified when a call of the sink has returned, or nothing of the queue is in hand any more.
    pub released: Notify,
}

impl Outlet {
    /// # Errors
    /// The receiver cannot be reached.
    pub async fn connect(&self) -> Result<(), Fault> {
        if self.unwanted.get() {
            return Ok(());
        }
        let _user = User::of(self);
        self.sink.connect().await
    }

    pub async fn write(&self, batch: &[Delivery<'_>]) -> Vec<Outcome> {
        let _user = User::of(self);
        self.sink.write_batch(batch).await
    }

    /// Closes the sink, once, after every call of it has returned.
    pub async fn close(&self) {
        let close = async || {
            while self.users.get() > 0 {
                self.released.notified().await;
            }
            self.sink.close().await;
        };
        self.closed.get_or_init(close).await;
    }

    /// # Errors
    /// `connect` would fail.
    pub async fn check(&self) -> Result<(), Fault> {
        self.sink.check().await
    }

    #[must_use]
    pub fn health(&self) -> connectors::Health {
        self.sink.health()
    }

    /// Whether nothing may overtake a message: batches are written one after the other.
    #[must_use]
    pub fn keeps_order(&self) -> bool {
        self.workers == 1
    }

    pub(super) fn new(
        sink: Rc<dyn Sink>,
        policy: Policy,
        gathering: Option<Gathering>,
        has_placeholders: bool,
    ) -> Outlet {
        Outlet {
            sink,
            batching: Batching::new(policy.batch, gathering),
            workers: policy.workers,
            retry_for: policy.retry_for,
            has_placeholders,
            unwanted: Cell::new(false),
            users: Cell::new(0),
            closed: OnceCell::new(),
            arrived: Notify::new(),
            changed: Notify::new(),
            released: Notify::new(),
        }
    }
}

/// A call of a sink, until it returns or is dropped.
struct User<'s>(&'s Outlet);

impl<'s> User<'s> {
    fn of(outlet: &'s Outlet) -> User<'s> {
        outlet.users.set(outlet.users.get() + 1);
        User(outlet)
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.0.users.set(self.0.users.get() - 1);
        self.0.released.notify_waiters();
    }
}

/// What all sinks of a shard share.
pub struct Sinks {
    world: Rc<dyn World>,
    hosting: Hosting,
}

/// What a node gives to its connectors, whoever's they are.
pub struct Hosting {
    tls: Tls,
    addresses: AddressPolicy,
    files: PathBuf,
    absolute_files: bool,
}

impl Hosting {
    /// # Errors
    /// `config/invalid-value` for a network or an authority that is none.
    pub fn new(settings: &Settings, own: Option<SocketAddr>, tls: Tls) -> Result<Hosting, Fault> {
        Ok(Hosting {
            tls,
            addresses: AddressPolicy { allow_loopback: settings.allow_loopback, allow: settings.networks()?, own },
            files: settings.files.clone(),
            absolute_files: settings.absolute_files,
        })
    }

    #[must_use]
    pub fn host<'h>(&'h self, pipeline: &'h Pipeline) -> Host<'h> {
        Host {
            customer: pipeline.customer(),
            pipeline: pipeline.name(),
            tls: &self.tls,
            addresses: &self.addresses,
            files: &self.files,
            absolute_files: self.absolute_files,
            fence: None,
        }
    }
}

/// Looks at the paths, headers and credentials of all outs, so that one that cannot be used refuses the revision
/// instead of its messages. Opens and connects to nothing.
///
/// # Errors
/// `config/file-outside` and what else is wrong with a path; `config/invalid-value` for what no header can carry, such
/// as a secret with a line break. With the pointer.
pub fn check_outs(pipeline: &Pipeline, secrets: &Secrets, hosting: &Hosting) -> Result<(), Fault> {
    let host = hosting.host(pipeline);
    for out in pipeline.outs() {
        out.spec.check(secrets, &host).map_err(|fault| fault.below(&out.pointer))?;
    }
    Ok(())
}

impl Sinks {
    /// # Errors
    /// `config/invalid-value` for a network that is none.
    pub fn new(settings: &Settings, world: Rc<dyn World>) -> Result<Sinks, Fault> {
        let hosting = Hosting::new(settings, world.listens_on(), world.tls()?)?;
        Ok(Sinks { world, hosting })
    }

    /// Makes a source that has a task of its own; connects to nothing.
    ///
    /// # Errors
    /// It cannot be used as it is: a secret, a path.
    pub fn open_source(
        &self,
        pipeline: &Pipeline,
        task: &dyn SourceTask,
        secrets: &Secrets,
        fence: Option<Arc<dyn Fence>>,
    ) -> Result<Rc<dyn Source>, Fault> {
        self.world.own_source(task, secrets, &Host { fence, ..self.hosting.host(pipeline) })
    }

    /// Makes the sink of one out; connects to nothing.
    ///
    /// # Errors
    /// The out cannot be used as it is: a secret, a header, a path.
    pub fn open(&self, pipeline: &Pipeline, secrets: &Secrets, target: usize) -> Result<Outlet, Fault> {
        let spec = &pipeline.outs()[target].spec;
        let sink = self.world.sink(&**spec, secrets, &self.hosting.host(pipeline))?;
        Ok(Outlet::new(sink, spec.policy(), spec.gathering(), spec.template().is_some()))
    }
}
