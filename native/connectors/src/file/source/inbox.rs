//! Messages that are read and not yet settled: a queue for the host, and how far each file has come.
//!
//! ```text
//! worker ─ push ─► queue ─ take ─► host ─ settle ─► stored: the file's prefix grows
//!                    ▲                      └─ refused, returned: again, as a new item
//!                    └────── when it is due ◄┘
//! ```
//!
//! A file's progress is where its first message begins that is not stored: what a restart goes on from.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use message::{Code, Fault};
use tokio::time::Instant;

use super::progress::{Messages, Place, Progress};
use super::state::{FileId, hex};
use super::trail::Check;
use crate::contract::{Incoming, Settled};

/// How soon a message is tried again when the host does not say.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Of the line `File-Offset`, bytes.
const LONGEST_OFFSET: usize = 36;

/// What all messages of a file have.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) file: FileId,
    /// It is one message.
    pub(super) is_whole: bool,
    /// `File-Name`, as a line.
    pub(super) name_header: String,
}

/// A message as the worker reads it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) origin: Arc<Origin>,
    /// In the file's text, which of a compressed file is what it becomes; and what stands before it.
    pub(super) start: u64,
    pub(super) check: Check,
    pub(super) payload: Bytes,
    pub(super) content_type: &'static str,
    /// Why it is no message.
    pub(super) fault: Option<Fault>,
}

/// What a turn has read of one file.
pub(super) struct ReadOn {
    pub(super) file: FileId,
    /// Up to where.
    pub(super) end: Place,
    pub(super) messages: Vec<Message>,
    /// Where messages begin that were stored earlier, of each row of them at least the first.
    pub(super) stored: Vec<u64>,
}

#[derive(Default)]
pub(super) struct Inbox {
    queue: VecDeque<Message>,
    /// By when they are due.
    retries: BTreeMap<(Instant, u64), Message>,
    /// With the host.
    lent: BTreeMap<u64, Message>,
    files: BTreeMap<FileId, File>,
    next_item: u64,
    messages: usize,
    bytes: usize,
    /// The latest refusal, until something is stored.
    refusal: Option<Code>,
    pub(super) ended: bool,
    closing: bool,
}

#[derive(Default)]
struct File {
    messages: Messages,
    /// Nothing more comes of it; it goes with its last message.
    is_over: bool,
}

impl Inbox {
    pub(super) fn is_full(&self, messages: usize, bytes: usize) -> bool {
        self.messages >= messages || self.bytes >= bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn refusal(&self) -> Option<Code> {
        self.refusal
    }

    /// How many the host has in hand.
    pub(super) fn lent(&self) -> usize {
        self.lent.len()
    }

    /// A file is read on, whether or not there was a message.
    pub(super) fn on_read(&mut self, ReadOn { file, end, messages, stored }: ReadOn) {
        if self.closing {
            return;
        }
        let known = self.files.entry(file).or_default();
        known.messages.on_read(end, messages.iter().map(|message| (message.start, message.check)), &stored);
        self.messages += messages.len();
        self.bytes += messages.iter().map(|message| message.payload.len()).sum::<usize>();
        self.queue.extend(messages);
    }

    pub(super) fn progress(&self) -> Vec<(FileId, Progress)> {
        self.files.iter().map(|(id, file)| (*id, file.messages.progress())).collect()
    }

    /// The file is over. What was read of it is still delivered: nobody else may have it.
    pub(super) fn forget(&mut self, file: FileId) {
        let Some(known) = self.files.get_mut(&file) else { return };
        known.is_over = true;
        if known.messages.is_settled() {
            self.files.remove(&file);
        }
    }

    pub(super) fn take(&mut self, messages: usize, bytes: usize) -> Vec<Incoming> {
        self.bring_back(Instant::now());
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(next) = self.queue.front() {
            if batch.len() >= messages.max(1) || !batch.is_empty() && size + next.payload.len() > bytes {
                break;
            }
            let Some(next) = self.queue.pop_front() else { break };
            size += next.payload.len();
            let item = self.next_item;
            self.next_item += 1;
            batch.push(incoming(&next, item));
            self.lent.insert(item, next);
        }
        batch
    }

    /// When the next refused message is due.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first_key_value().map(|((due, _), _)| *due)
    }

    /// Those that are due go first again, in their order.
    fn bring_back(&mut self, now: Instant) {
        let later = self.retries.split_off(&(now + Duration::from_nanos(1), 0));
        for message in std::mem::replace(&mut self.retries, later).into_values().rev() {
            self.queue.push_front(message);
        }
    }

    pub(super) fn settle(&mut self, item: u64, outcome: Settled) {
        let Some(message) = self.lent.remove(&item) else { return };
        match outcome {
            Settled::Stored { .. } => {
                self.refusal = None;
                self.close_message(&message);
            }
            Settled::Refused { fault, retry_after } => {
                self.refusal = Some(fault.code());
                self.again(item, message, retry_after);
            }
            Settled::Returned { .. } => self.again(item, message, None),
        }
    }

    fn again(&mut self, item: u64, message: Message, after: Option<Duration>) {
        if self.closing {
            return self.release(&message);
        }
        self.retries.insert((Instant::now() + after.unwrap_or(RETRY_AFTER), item), message);
    }

    fn close_message(&mut self, message: &Message) {
        self.release(message);
        let id = message.origin.file;
        let Some(file) = self.files.get_mut(&id) else { return };
        file.messages.on_stored(message.start);
        if file.is_over && file.messages.is_settled() {
            self.files.remove(&id);
        }
    }

    fn release(&mut self, message: &Message) {
        self.messages -= 1;
        self.bytes -= message.payload.len();
    }

    /// Nothing more is given to the host; what it has in hand may still be settled.
    pub(super) fn close(&mut self) {
        self.closing = true;
        for message in
            std::mem::take(&mut self.queue).into_iter().chain(std::mem::take(&mut self.retries).into_values())
        {
            self.release(&message);
        }
    }
}

fn incoming(message: &Message, item: u64) -> Incoming {
    Incoming {
        item,
        // One pipeline alone has the source.
        binding: 0,
        payload: message.payload.clone(),
        headers: headers(message),
        content_type: message.content_type.into(),
        idempotency_key: None,
        place: Some(place(message)),
        fault: message.fault.clone(),
    }
}

/// Lines of a header block.
fn headers(message: &Message) -> Vec<u8> {
    let name = &message.origin.name_header;
    let mut lines = String::with_capacity(name.len() + LONGEST_OFFSET);
    lines.push_str(name);
    let _ = write!(lines, "File-Offset: {}\r\n", message.start);
    lines.into_bytes()
}

/// Where it stands: the same whenever it is read. A file that is read as a whole is not its first line.
fn place(message: &Message) -> Box<str> {
    let file = hex(&message.origin.file);
    if message.origin.is_whole { file.into() } else { format!("{file}-{}", message.start).into() }
}
