//! From an out of a pipeline file to an open sink, with the host's settings round it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use connectors::Sink;
use connectors::file::sink::{FileOptions, FileSink};
use connectors::http::guard::{AddressPolicy, Network};
use connectors::http::sink::{HttpSink, Tls};
use connectors::stdout::sink::StdoutSink;
use message::{Code, Fault};

use super::install::Installed;
use super::node::Settings;
use crate::compile::OutKind;

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
    /// The same sink when it is a file, whose last line a crash may have torn.
    pub file: Option<Rc<FileSink>>,
}

/// What all sinks of a shard share.
pub struct Sinks {
    tls: Tls,
    policy: AddressPolicy,
    files: PathBuf,
    absolute_files: bool,
}

/// Lines of one write and one sync.
const FILE_BATCH: usize = 512;
/// A file comes back when there is space again; until then its messages wait.
const FILE_RETRY: Duration = Duration::from_secs(3600);

impl Sinks {
    pub fn new(settings: &Settings, tls: Tls) -> Result<Sinks, Fault> {
        let allow = settings.allow.iter().map(|network| Network::parse(network)).collect::<Result<_, _>>()?;
        Ok(Sinks {
            tls,
            policy: AddressPolicy { allow_loopback: settings.allow_loopback, allow },
            files: settings.files.clone(),
            absolute_files: settings.absolute_files,
        })
    }

    /// Opens the sink of one out. What it connects to is reached at the first delivery.
    pub fn open(&self, installed: &Installed, target: usize) -> Result<OutSink, Fault> {
        let out = &installed.pipeline.outs()[target];
        match &out.kind {
            OutKind::Http(http) => {
                let options = http.options(|name| installed.secrets.get(name))?;
                let workers = options.concurrency;
                let sink = HttpSink::new(options, &self.tls, &self.policy)?;
                Ok(OutSink {
                    sink: Rc::new(sink),
                    batch: 1,
                    workers,
                    retry_for: http.retry_for,
                    has_placeholders: !http.url.is_static(),
                    file: None,
                })
            }
            OutKind::File { path } => {
                let options =
                    FileOptions { base: self.files.clone(), path: path.clone(), allow_absolute: self.absolute_files };
                let file = Rc::new(FileSink::new(&options)?);
                Ok(OutSink { file: Some(Rc::clone(&file)), ..lines(file) })
            }
            OutKind::Stdout => Ok(lines(Rc::new(StdoutSink::new()))),
            OutKind::Nats { .. } => Err(Fault::new(Code::InternalPanic, "a NATS out has no sink")),
        }
    }
}

fn lines(sink: Rc<dyn Sink>) -> OutSink {
    OutSink { sink, batch: FILE_BATCH, workers: 1, retry_for: FILE_RETRY, has_placeholders: false, file: None }
}
