//! From an out of a pipeline file to a sink, and what its tasks share with its queue.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use connectors::file::sink::{FileOptions, FileSink};
use connectors::http::guard::AddressPolicy;
use connectors::http::sink::check_options;
use connectors::{Delivery, Outcome, Sink};
use message::{Code, Fault};
use tokio::sync::{Notify, OnceCell};

use crate::compile::{OutKind, Pipeline};
use crate::engine::registry::Secrets;
use crate::engine::settings::Settings;
use crate::engine::world::World;

/// A sink, how it is used, and what its tasks wait for.
pub struct Outlet {
    sink: Rc<dyn Sink>,
    /// Deliveries of one `write_batch`.
    pub batch: usize,
    /// Batches under way at a time.
    pub workers: usize,
    /// How long a delivery is repeated.
    pub retry_for: Duration,
    /// Whether the URL depends on the message.
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

    /// For a sink that takes lines: one batch at a time.
    pub(super) fn lines(sink: Rc<dyn Sink>) -> Outlet {
        Outlet {
            sink,
            batch: FILE_BATCH,
            workers: 1,
            retry_for: FILE_RETRY,
            has_placeholders: false,
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
    policy: AddressPolicy,
    files: Files,
}

/// Where file outs may write.
#[derive(Clone)]
struct Files {
    base: PathBuf,
    allow_absolute: bool,
}

impl Files {
    fn new(settings: &Settings) -> Files {
        Files { base: settings.files.clone(), allow_absolute: settings.absolute_files }
    }

    fn options(&self, pipeline: &Pipeline, path: &str) -> FileOptions {
        let (base, customer) = (self.base.clone(), pipeline.customer().to_owned());
        FileOptions { base, customer, path: path.to_owned(), allow_absolute: self.allow_absolute }
    }
}

/// Looks at the paths, headers and credentials of all outs, so that one that cannot be used refuses the revision
/// instead of its messages. Opens and connects to nothing.
///
/// # Errors
/// `config/file-outside` and what else is wrong with a path; `config/invalid-value` for what no header can carry, such
/// as a secret with a line break. With the pointer.
pub fn check_outs(pipeline: &Pipeline, secrets: &Secrets, settings: &Settings) -> Result<(), Fault> {
    let files = Files::new(settings);
    for (out, (.., pointer)) in pipeline.outs().iter().zip(pipeline.file().out.list()) {
        match &out.kind {
            OutKind::File { path } => FileSink::new(&files.options(pipeline, path))
                .map(drop)
                .map_err(|fault| fault.at_pointer(format!("{pointer}/file/path")))?,
            OutKind::Http(http) => http
                .options(|name| secrets.get(name))
                .and_then(|options| check_options(&options))
                .map_err(|fault| fault.at_pointer(format!("{pointer}/http")))?,
            OutKind::Stdout | OutKind::Nats { .. } => {}
        }
    }
    Ok(())
}

/// Lines of one write and one sync.
const FILE_BATCH: usize = 512;
/// A file comes back when there is space again; until then its messages wait.
const FILE_RETRY: Duration = Duration::from_secs(3600);

impl Sinks {
    /// # Errors
    /// `config/invalid-value` for a network that is none.
    pub fn new(settings: &Settings, world: Rc<dyn World>) -> Result<Sinks, Fault> {
        Ok(Sinks {
            policy: AddressPolicy {
                allow_loopback: settings.allow_loopback,
                allow: settings.networks()?,
                own: world.listens_on(),
            },
            world,
            files: Files::new(settings),
        })
    }

    /// Makes the sink of one out; connects to nothing.
    ///
    /// # Errors
    /// The out cannot be used as it is: a secret, a header, a path.
    pub fn open(&self, pipeline: &Pipeline, secrets: &Secrets, target: usize) -> Result<Outlet, Fault> {
        match &pipeline.outs()[target].kind {
            OutKind::Http(http) => {
                let options = http.options(|name| secrets.get(name))?;
                let workers = options.concurrency.max(1);
                let sink = self.world.http_sink(options, &self.policy)?;
                let has_placeholders = http.has_placeholders();
                Ok(Outlet { batch: 1, workers, retry_for: http.retry_for, has_placeholders, ..Outlet::lines(sink) })
            }
            OutKind::File { path } => Ok(Outlet::lines(self.world.file_sink(&self.files.options(pipeline, path))?)),
            OutKind::Stdout => Ok(Outlet::lines(self.world.stdout_sink())),
            OutKind::Nats { .. } => Err(Fault::new(Code::InternalPanic, "a NATS out has no sink")),
        }
    }
}
