//! The contract of a connector: a source brings messages in, a sink takes them out, in batches and
//! with one verdict per message. Retries, windows, breakers, reconnects and the gathering of batches
//! are the host's. One shard owns its instances: nothing here is `Send`, nothing is locked.
//!
//! ```text
//! spec ─► (new) ─► check                                     before anything runs: `vrsky check`
//!         (new) ─► connect ─► read_batch / write_batch ... ─► close       health, at any time
//! ```
//!
//! `spec`, the JSON Schema of a connector's options, is no method here: options are written in the
//! pipeline file, whose model in `flow` is the only source of schemas; `flow::model::specs` takes each
//! connector's part out of it, with secrets marked `writeOnly`. Sources have no `check`: they are
//! shared by pipelines, and what an in of one needs (a secret, a stream) is the host's to look up.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use message::{Code, Fault};

pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
pub type Read = Result<Vec<Incoming>, ConnectorError>;

/// How a connector is, as far as it knows itself; the host adds what deliveries have met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known against it: the host goes by the outcomes alone.
    Up,
    /// The host shows the code beside the out or the in, until it is up again; it stops nothing.
    Failing(Code),
}

/// Why a source has no batch, and what the host does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectorError {
    /// The connection is gone: the host connects again, with growing pauses.
    NotConnected,
    /// There will be no more: the host settles what it holds and closes.
    EndOfInput,
    /// The host asks again after this long.
    BackOff(Duration),
}

/// A message as it came in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Names the message in `settle`; never used by two messages of one source at a time. Below 2^63; of a source with a
    /// task of its own, below 2^40.
    pub item: u64,
    /// Which pipeline's `in` it is for, as the host numbered them.
    pub binding: u32,
    pub payload: Bytes,
    /// `Name: value\r\n` lines, allow-listed, without Content-Type; fit for a NATS header block.
    pub headers: Vec<u8>,
    /// The media type in lower case, with no parameter but the charset of XML; as it came where nobody reads the
    /// payload; empty when the sender gave none.
    pub content_type: Box<str>,
    /// What the sender calls it: a repetition under this key is recognised, for as long as keys are kept.
    pub idempotency_key: Option<Box<str>>,
    /// Its place in the source, the same whenever it is read: a repetition is recognised within some seconds.
    pub place: Option<Box<str>>,
    /// Why it is no message, such as a row that does not fit its table: it becomes a dead letter, with the payload as it
    /// was found, and counts as stored when that is. Of a source with a task of its own.
    pub fault: Option<Fault>,
}

/// What became of an incoming message.
#[derive(Clone, Debug)]
pub enum Settled {
    /// It is stored durably under this id; the source may say so to the sender.
    Stored { id: Box<str> },
    /// It is not stored. A source with a sender reports the fault, and when to try again; one with a task of its own
    /// brings the message again, as a new item, after this long.
    Refused { fault: Fault, retry_after: Option<Duration> },
    /// The pipeline of its binding is gone, and the message untouched. The source looks who takes it now and brings
    /// it again, as a new item; it refuses it when nobody does.
    Returned { payload: Bytes },
}

pub trait Source {
    /// Called before the first `read_batch`, when the host can tell whose messages they are. The HTTP server begins to
    /// take senders, and an error ends the start of the node. A source with a task of its own connects within its own
    /// timeout; after an error, and after `NotConnected`, the host calls it again, with growing pauses.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>>;

    /// Called about once a second. Never blocks, asks nobody.
    fn health(&self) -> Health;

    /// Called about once a second: the faults of single items of the source since the last call, such as files that cannot
    /// be read on, with their names as `file` of the place, or a session that the broker keeps too short. Each once for an item and a reason, and of many at a time not
    /// all. The host shows them as events. Never blocks.
    fn take_item_faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// Called about once a second: how many items are so now, and the newest fault; `None` when none is.
    fn broken_items(&self) -> Option<(usize, Fault)> {
        None
    }

    /// Called in a loop by one task. Waits up to `wait` for the first message, then returns at once
    /// what there is, at most `messages` and `bytes` of payload (one message alone may have more);
    /// empty when the wait is over. Errors: see there. Dropping the future loses nothing.
    fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> LocalFuture<'_, Read>;

    /// Called once for each message read, in any order. Never blocks; no-op for a sender that left.
    fn settle(&self, item: u64, outcome: Settled);

    /// Called once. Takes no more senders, lets those in flight finish until the deadline, then
    /// cuts them off. Meanwhile the host goes on reading and settling, until `EndOfInput`.
    fn close(&self, deadline: Duration) -> LocalFuture<'_, ()>;
}

/// A message on its way out, as the host has it: nothing is copied for an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The same at every attempt, so that the receiver can tell a repetition.
    pub id: &'a str,
    pub payload: &'a Bytes,
    pub content_type: &'a str,
    pub customer: &'a str,
    pub pipeline: &'a str,
    /// The message's NATS header block, or empty.
    pub headers: &'a [u8],
    /// The out's address with this message's placeholders filled in, where it has some.
    pub address: Option<&'a str>,
}

/// What became of a delivery.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The receiver has it: the host acks.
    Delivered,
    /// It may work later: the host delivers again, not before `after`.
    Retry { fault: Fault, after: Option<Duration> },
    /// It never will: the host writes it to the dead letters.
    Permanent(Fault),
}

pub trait Sink {
    /// Called by `vrsky check`, on a sink that is never connected. Looks whether `connect` would work;
    /// waits at most some seconds, sends no message, makes and changes nothing. The error is shown.
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>>;

    /// Called when the pipeline is installed, perhaps beside the first `write_batch`, which does without
    /// it. Opens or reaches the receiver within the sink's own timeout, without a message. The host says
    /// an error once, shows the out as failing, and calls again every few seconds until one of it or of
    /// the messages gets through.
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>>;

    /// Called about once a second. Never blocks, asks nobody.
    fn health(&self) -> Health;

    /// Called with one batch or several at a time. Waits for the receiver, for each delivery within
    /// the sink's own timeout, and returns one outcome per delivery, in order; it does not fail as a
    /// whole. When the future is dropped, any part of the batch may have been delivered.
    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>>;

    /// Called once, when the revision was replaced or the node is drained, after `connect` and the
    /// last batch have returned. What was delivered is safe when it returns, and nothing stays open. A
    /// drain that is out of time drops the sink without it.
    fn close(&self) -> LocalFuture<'_, ()>;
}
