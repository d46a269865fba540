//! From an out of a pipeline file to an open sink, with the host's settings round it.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use connectors::file::sink::{FileOptions, FileSink};
use connectors::http::guard::AddressPolicy;
use connectors::http::sink::{HttpSink, Tls};
use connectors::stdout::sink::StdoutSink;
use connectors::{Delivery, Outcome, Sink};
use message::{Code, Fault};
use tokio::sync::Notify;

use super::install::Secrets;
use super::node::Settings;
use crate::compile::{OutKind, Pipeline};

/// A sink, and how its out's workers use it.
pub struct OutSink {
    pub sink: Rc<dyn Sink>,
    /// Deliveries of one `write_batch`.
    pub batch: usize,
    /// Batches under way at a time.
    pub workers: usize,
    /// How long a delivery is repeated.
    pub retry_for: Duration,
    /// Whether the URL depends on the message.
    pub has_placeholders: bool,
    /// It is closed soon: one that still waits for its turn to connect need not.
    pub unwanted: Cell<bool>,
    /// Calls of the sink that have not returned; it is closed after them.
    users: Cell<usize>,
    /// Told whenever one has.
    pub left: Notify,
}

impl OutSink {
    pub async fn connect(&self) -> Result<(), Fault> {
        if self.unwanted.get() {
            return Ok(());
        }
        let _user = User::of(self);
        self.sink.connect().await
    }

    pub async fn write(&self, batch: &[Delivery]) -> Vec<Outcome> {
        let _user = User::of(self);
        self.sink.write_batch(batch).await
    }

    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.users.get() == 0
    }
}

/// A call of a sink, until it returns or is dropped.
struct User<'s>(&'s OutSink);

impl<'s> User<'s> {
    fn of(sink: &'s OutSink) -> User<'s> {
        sink.users.set(sink.users.get() + 1);
        User(sink)
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        self.0.users.set(self.0.users.get() - 1);
        self.0.left.notify_one();
    }
}

/// What all sinks of a shard share.
pub struct Sinks {
    tls: Tls,
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

/// Looks at the paths of all file outs, so that one that may not be written refuses the revision instead of its
/// messages.
pub fn check_files(pipeline: &Pipeline, settings: &Settings) -> Result<(), Fault> {
    let files = Files::new(settings);
    for (out, (.., pointer)) in pipeline.outs().iter().zip(pipeline.file().out.list()) {
        if let OutKind::File { path } = &out.kind {
            let checked = FileSink::new(&files.options(pipeline, path));
            checked.map_err(|fault| fault.at_pointer(format!("{pointer}/file/path")))?;
        }
    }
    Ok(())
}

/// Lines of one write and one sync.
const FILE_BATCH: usize = 512;
/// A file comes back when there is space again; until then its messages wait.
const FILE_RETRY: Duration = Duration::from_secs(3600);

impl Sinks {
    pub fn new(settings: &Settings, tls: Tls) -> Result<Sinks, Fault> {
        Ok(Sinks {
            tls,
            policy: AddressPolicy { allow_loopback: settings.allow_loopback, allow: settings.networks()? },
            files: Files::new(settings),
        })
    }

    /// Makes the sink of one out; connects to nothing.
    pub fn open(&self, pipeline: &Pipeline, secrets: &Secrets, target: usize) -> Result<OutSink, Fault> {
        let out = &pipeline.outs()[target];
        match &out.kind {
            OutKind::Http(http) => {
                let options = http.options(|name| secrets.get(name))?;
                let workers = options.concurrency;
                let sink = Rc::new(HttpSink::new(options, &self.tls, &self.policy)?);
                let has_placeholders = !http.url.is_static();
                Ok(OutSink { batch: 1, workers, retry_for: http.retry_for, has_placeholders, ..lines(sink) })
            }
            OutKind::File { path } => Ok(lines(Rc::new(FileSink::new(&self.files.options(pipeline, path))?))),
            OutKind::Stdout => Ok(lines(Rc::new(StdoutSink::new()))),
            OutKind::Nats { .. } => Err(Fault::new(Code::InternalPanic, "a NATS out has no sink")),
        }
    }
}

fn lines(sink: Rc<dyn Sink>) -> OutSink {
    OutSink {
        sink,
        batch: FILE_BATCH,
        workers: 1,
        retry_for: FILE_RETRY,
        has_placeholders: false,
        unwanted: Cell::new(false),
        users: Cell::new(0),
        left: Notify::new(),
    }
}
