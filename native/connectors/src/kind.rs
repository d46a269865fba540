//! The contract of a kind of connector: what a pipeline file may say of it, and how it is opened.
//!
//! ```text
//! registry.rs ─► SourceKind ─ compile(options) ─► SourceSpec ─ attach() ─► a route of the shard's HTTP server
//!                                                                       │  a subscription of the shard's NATS connection
//!                                                                       └► a Source of its own: open()
//! registry.rs ─► SinkKind ─── compile(options) ─► SinkSpec ─── route() ──► a publish of the shard's NATS connection
//!                                                                       └► a lane, and behind it a Sink: open()
//! ```
//!
//! A kind is one folder, its module in `lib.rs` and its line in `registry.rs`. Specs are immutable, shared by all
//! threads, and hold no secret's value: `open` is given those.

use std::borrow::Cow;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Document, Fault, Format};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contract::{Sink, Source};
use crate::http::guard::AddressPolicy;
use crate::http::source::HttpInput;
use crate::nats::{Publish, Subscription};
use crate::tls::Tls;

/// What both directions of a kind have: its name, and its options as they stand in the file.
pub trait Kind: Sync {
    /// The key in the pipeline file, such as `http`.
    fn name(&self) -> &'static str;

    /// In a sentence: the description of the key.
    fn summary(&self) -> &'static str;

    /// A pipeline file that uses the kind: shown by `vrsky connectors` and on its page; a test reads it.
    fn example(&self) -> &'static str;

    /// What `vrsky check` looks at, in a sentence.
    fn checked(&self) -> &'static str;

    /// The JSON Schema of the options; its definitions go into `generator`. Secrets are `writeOnly`.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// The options in their canonical form: with every default that says something, in the order of the schema.
    ///
    /// # Errors
    /// The schema does not allow them.
    fn canonical(&self, options: &Value) -> serde_json::Result<Value>;
}

/// A kind whose options are a type; it is a [`Kind`] by that.
pub trait Described: Sync {
    type Options: Serialize + DeserializeOwned + JsonSchema;
    const NAME: &'static str;
    const SUMMARY: &'static str;
    const EXAMPLE: &'static str;
    const CHECKED: &'static str;
}

impl<K: Described> Kind for K {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn summary(&self) -> &'static str {
        K::SUMMARY
    }

    fn example(&self) -> &'static str {
        K::EXAMPLE
    }

    fn checked(&self) -> &'static str {
        K::CHECKED
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<K::Options>()
    }

    fn canonical(&self, options: &Value) -> serde_json::Result<Value> {
        serde_json::to_value(K::Options::deserialize(options)?)
    }
}

/// A kind of source.
pub trait SourceKind: Kind {
    /// Checks canonical options for what a schema cannot say. Asks nobody.
    ///
    /// # Errors
    /// Every fault that was found, with pointers that begin at the options: `/stream`.
    fn compile(&self, options: &Value, pipeline: &PipelineContext<'_>) -> Result<Arc<dyn SourceSpec>, Vec<Fault>>;
}

/// A kind of sink.
pub trait SinkKind: Kind {
    /// Like that of a source.
    ///
    /// # Errors
    /// Like that of a source.
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>>;
}

/// What a source may know of its pipeline.
#[derive(Clone, Copy, Debug)]
pub struct PipelineContext<'p> {
    pub customer: &'p str,
    pub pipeline: &'p str,
    /// The largest payload, bytes: `limits.bytes`.
    pub max_bytes: usize,
    pub reads: Reads,
}

/// What steps and outs read of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nobody looks at it.
    Nothing,
    /// One format alone.
    Only(Format),
    /// Whichever it is.
    Any,
}

/// An in of a pipeline, compiled.
pub trait SourceSpec: Debug + Send + Sync {
    /// The names of its secrets.
    fn secrets(&self) -> Vec<&str>;

    /// Where messages come from, as people would look for it: `NATS orders.in`.
    fn describe(&self) -> String;

    fn attach(&self) -> Attach<'_>;

    /// Checks what stands in secrets, such as a token that no header can carry.
    ///
    /// # Errors
    /// `secret/not-found`, `config/invalid-value`.
    fn check(&self, secrets: &dyn Secrets) -> Result<(), Fault>;

    /// The size of payloads that the options ask for, in bytes, with the option's name.
    fn asked_bytes(&self) -> Option<(u32, &'static str)> {
        None
    }

    /// What no other pipeline may have beside this one.
    fn claim(&self) -> Option<Claim> {
        None
    }

    /// Whether it reads a file that an out of its customer writes, which would go round for ever. `path`: as
    /// [`SinkSpec::file`] has it.
    fn reads_file(&self, _path: &str) -> bool {
        false
    }

    /// Whether it reads all that an out publishes, and would do so for ever.
    fn reads_topic(&self, _published: &Published<'_>) -> bool {
        false
    }

    /// Whether a header of a message goes on to the steps.
    fn passes(&self, _header: &str) -> bool {
        true
    }
}

/// What one pipeline of a node has alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// With the customer, where two customers may have the same: `the address /in/acme/orders`.
    pub what: String,
    /// The option that says it.
    pub option: &'static str,
    /// Of files: two claims are at odds where a file may fit both.
    pub files: Option<ClaimedFiles>,
}

/// The files of a folder that fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ClaimedFiles {
    /// With the customer, without `.` and doubled slashes.
    pub folder: String,
    pub pattern: String,
}

impl Claim {
    /// The same for all claims that may meet.
    #[must_use]
    pub fn group(&self) -> &str {
        self.files.as_ref().map_or(&self.what, |files| &files.folder)
    }

    /// Whether both are of something that one alone may have.
    #[must_use]
    pub fn meets(&self, other: &Claim) -> bool {
        match (&self.files, &other.files) {
            (Some(one), Some(other)) => {
                one.folder == other.folder && crate::file::source::patterns_meet(&one.pattern, &other.pattern)
            }
            _ => self.what == other.what,
        }
    }
}

/// Where an out publishes to.
#[derive(Clone, Debug)]
pub struct Published<'s> {
    /// The same for those that reach the same one.
    pub broker: String,
    /// With fields of the message in it.
    pub topic: &'s str,
    /// Whether a message has with it how often it was passed on, so that a loop ends.
    pub is_counted: bool,
}

/// How a source is attached to a shard.
pub enum Attach<'s> {
    /// By a route of the HTTP server that a node's pipelines share.
    Route(&'s HttpInput),
    /// By a subscription or a pull of the shard's own NATS connection.
    Subscription(&'s Subscription),
    /// By a task of its own.
    Task(&'s dyn SourceTask),
}

/// A source that is read by a task of its own.
pub trait SourceTask {
    /// Makes the source; connects to nothing.
    ///
    /// # Errors
    /// It cannot be used as it is: a secret, a path.
    fn open(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Source>, Fault>;

    /// Whether each shard of each node may have one. A source that cannot be shared is read by one shard of one node; it
    /// may depend on the options.
    fn is_shared(&self) -> bool;
}

/// An out of a pipeline, compiled.
pub trait SinkSpec: Debug + Send + Sync {
    /// The names of its secrets.
    fn secrets(&self) -> Vec<&str>;

    /// Where messages go, as people would look for it: `POST https://erp.example/`.
    fn describe(&self) -> String;

    /// The file that it writes, below its customer's folder.
    fn file(&self) -> Option<&str> {
        None
    }

    /// The topic that it publishes to at a broker, where ins may read it.
    fn published(&self) -> Option<Published<'_>> {
        None
    }

    fn route(&self) -> Route<'_>;

    /// How the host hands messages over.
    fn policy(&self) -> Policy;

    /// How messages gather for a call of the sink that is one request for all of them; `None`: each has its own answer.
    fn gathering(&self) -> Option<Gathering> {
        None
    }

    /// The part of its address that the fields of a message fill in, if there is one.
    fn template(&self) -> Option<&dyn Template> {
        None
    }

    /// Looks whether the sink can be made, so that one that cannot refuses the revision instead of its messages.
    ///
    /// # Errors
    /// Like [`SinkSpec::open`], with a pointer that begins at the options.
    fn check(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<(), Fault>;

    /// Makes the sink; connects to nothing. Never called for a route that is a publish.
    ///
    /// # Errors
    /// It cannot be used as it is: a secret, a header, a path.
    fn open(&self, secrets: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault>;
}

/// An address with fields of the message in it.
pub trait Template {
    /// A hash of the template: a message that waits carries what another revision's template made of it.
    fn hash(&self) -> &str;

    /// The address for one message.
    ///
    /// # Errors
    /// The field whose value makes no address.
    fn render(&self, document: &Document) -> Result<String, Fault>;
}

/// How messages get to a sink.
pub enum Route<'s> {
    /// Through a lane, where they wait for the sink.
    Lane,
    /// The shard publishes them on its own NATS connection.
    Publish(&'s Publish),
}

/// How the host hands messages to a sink. The host owns retries, windows and breakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Deliveries of one `write_batch`.
    pub batch: usize,
    /// Batches under way at a time; 1 keeps the order.
    pub workers: usize,
    /// How long a delivery is repeated; zero: it is not.
    pub retry_for: Duration,
    /// The longest time of one attempt, to which the sink sees itself.
    pub timeout: Duration,
}

/// Where one request carries the messages of a call, [`Policy::batch`] at most: what else bounds it. Its answer is for
/// all of them, so what has failed comes again with fewer others each time, at last alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gathering {
    /// Bytes of payloads, with one for each message that separates it, at most; one message alone may have more.
    pub bytes: usize,
    /// How long the first message waits for others; not while the node ends, and not without room for more.
    pub wait: Duration,
}

/// The values of a customer's secrets.
pub trait Secrets {
    /// # Errors
    /// `secret/not-found`
    fn get(&self, name: &str) -> Result<&str, Fault>;
}

/// What a node gives to the connectors that it opens.
pub struct Host<'h> {
    /// Whose pipeline it is.
    pub customer: &'h str,
    pub pipeline: &'h str,
    /// Whom servers may be certified by.
    pub tls: &'h Tls,
    /// Where connections may lead.
    pub addresses: &'h AddressPolicy,
    /// The folder for files of all customers.
    pub files: &'h Path,
    /// Whether a path may be absolute.
    pub absolute_files: bool,
    /// Of a source that cannot be shared, where nodes hold leases: whether this node may still read it. Without it nobody
    /// else does.
    pub fence: Option<Arc<dyn Fence>>,
}

/// The folder for what sources keep, beside those of customers, whose names hold no dot.
const SOURCES: &str = ".sources";

/// Where a source writes down how far it is: a folder of its pipeline's own, made when missing.
#[must_use]
pub fn source_state(host: &Host<'_>) -> PathBuf {
    host.files.join(SOURCES).join(host.customer).join(host.pipeline)
}

/// The lease of a node, as those see it who change something outside the node by it.
pub trait Fence: Debug + Send + Sync {
    /// Whether the lease is held now. `false` for ever after that: another node may read the source. Never blocks; to be
    /// asked right before each change.
    fn holds(&self) -> bool;
}

/// The options that `canonical` gives, as a kind's own type.
///
/// # Errors
/// `config/invalid-value` for what `canonical` would have refused.
pub fn typed<T: DeserializeOwned>(options: &Value) -> Result<T, Vec<Fault>> {
    T::deserialize(options)
        .map_err(|error| vec![Fault::new(message::Code::ConfigInvalidValue, error.to_string()).at_pointer("")])
}

/// The text of a scalar field, as it stands in an address.
#[must_use]
pub fn field<'d>(document: &'d Document, path: &message::Path) -> Option<Cow<'d, str>> {
    use message::{Kind as ValueKind, Segment};
    let value = path.segments().iter().try_fold(document.root(), |value, segment| match segment {
        Segment::Key(name) => value.get(name),
        Segment::Index(index) => value.index(*index as usize),
    })?;
    match value.kind() {
        ValueKind::True => Some(Cow::Borrowed("true")),
        ValueKind::False => Some(Cow::Borrowed("false")),
        _ => value.text(),
    }
}
