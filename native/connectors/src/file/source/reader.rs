//! From a file to messages: in chunks, so that a file may be of any size.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use formats::csv::{self, Columns};
use memchr::memchr;
use message::{Code, Document, Fault};

use super::folder::visible;
use super::inbox::{Message, Origin};
use super::options::{Rows, SourceOptions};
use super::progress::{Place, Run, is_stored};
use super::state::{FileId, Version};
use super::trail::{Check, Trail};
use crate::file::line::BYTE_ORDER_MARK;
use crate::gzip::{Bounds, Members};

const CHUNK: usize = 256 << 10;
/// What a compressed file may become without a message in it: a few bytes can hold gigabytes of line ends.
const MAX_BLANK: u64 = 64 << 20;
/// A file may have any number of members with text. Empty ones take time and bring nothing; bgzip writes one at its end.
const MEMBERS: Bounds = Bounds { members: usize::MAX, empty: 1_000 };

/// How much one call of [`Reader::next`] may read.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) messages: usize,
    /// Of payload.
    pub(super) bytes: usize,
    /// Of the file's text, most of which may be no message.
    pub(super) text: usize,
}

/// What one call of [`Reader::next`] has read.
pub(super) struct Taken {
    pub(super) messages: Vec<Message>,
    /// Where others begin that were stored earlier, of each row of them the first.
    pub(super) stored: Vec<u64>,
    /// Of the file's text, bytes.
    pub(super) text: usize,
    /// A fault is the file's: it cannot be read on.
    pub(super) read: Result<(), Fault>,
}

/// What of a file is read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Mark,
    Header,
    /// What was read earlier.
    Known,
    Records,
}

/// The file's bytes, or what a compressed file becomes.
enum Input {
    Plain { file: File, left: u64 },
    Gzip(Box<Members<BufReader<File>>>),
}

pub(super) struct Reader {
    pub(super) id: FileId,
    /// As it is read; what is written to it later is for another time.
    pub(super) version: Version,
    input: Input,
    /// What of its text is read and not taken apart, from `at` on.
    buffer: Vec<u8>,
    at: u64,
    part: Part,
    /// All before the goal is read again, and not the last two blocks alone.
    is_proving: bool,
    /// Of what was taken apart.
    trail: Trail,
    /// Where the first message begins that is not stored, and what stood before it when that was read.
    goal: u64,
    check: Option<Check>,
    /// What is stored behind it.
    stored: Vec<Run>,
    /// Where the last message ended.
    last_end: Place,
    /// Nothing follows the buffer.
    is_all: bool,
    columns: Option<Columns>,
    document: Document,
    content_type: &'static str,
    origin: Arc<Origin>,
}

impl Reader {
    /// The messages from a place in the file's text on. `is_proving`: all that stands before it is read again, and has to be
    /// what it was. Reads nothing yet.
    pub(super) fn open(
        file: File,
        name: &str,
        (id, version, (goal, check)): (FileId, Version, Place),
        stored: Vec<Run>,
        is_proving: bool,
        options: &SourceOptions,
    ) -> Reader {
        let plain_name = name.strip_suffix(".gz");
        let input = match plain_name {
            Some(_) => Input::Gzip(Box::new(Members::new(BufReader::new(file), MEMBERS))),
            None => Input::Plain { file, left: version.size },
        };
        Reader {
            id,
            version,
            input,
            buffer: Vec::new(),
            at: 0,
            part: match options.rows {
                Rows::Csv(_) => Part::Mark,
                Rows::Lines if goal == 0 => Part::Mark,
                Rows::Lines | Rows::Whole => Part::Known,
            },
            is_proving: is_proving || plain_name.is_some(),
            trail: Trail::default(),
            goal,
            check,
            stored,
            last_end: (goal, check),
            is_all: false,
            columns: None,
            document: Document::default(),
            content_type: content_type(plain_name.unwrap_or(name), &options.rows),
            origin: Arc::new(Origin {
                file: id,
                is_whole: matches!(options.rows, Rows::Whole),
                name_header: format!("File-Name: {}\r\n", visible(name.as_bytes())),
            }),
        }
    }

    /// Whether there is nothing more.
    pub(super) fn is_at_end(&self) -> bool {
        self.part == Part::Records && self.is_all && self.buffer.is_empty()
    }

    /// Whether all that stands before the messages was read, and is as it was.
    pub(super) fn has_proven(&self) -> bool {
        self.is_proving && self.part == Part::Records
    }

    /// Where to go on: at the next message, or in the blank lines before it. A compressed file is read from its start in
    /// any case, and its blank lines count anew then.
    pub(super) fn end(&self) -> Place {
        match self.input {
            Input::Gzip(_) if !self.is_at_end() => self.last_end,
            _ if self.at < self.goal => (self.goal, self.check),
            _ => self.here(),
        }
    }

    /// What was read up to here, of a plain file that is read message by message by now.
    pub(super) fn place(&self) -> Option<(u64, Check)> {
        let is_plain = matches!(self.input, Input::Plain { .. });
        (is_plain && self.part == Part::Records).then(|| (self.at, self.trail.check()))
    }

    fn here(&self) -> Place {
        (self.at, Some(self.trail.check()))
    }

    /// The next messages, about as many and as large as there is room for, and no more text than that, whether or not
    /// there is a message in it. Blocks.
    pub(super) fn next(&mut self, room: Room, options: &SourceOptions) -> Taken {
        let before = match self.prepare(room.text, options) {
            Ok(text) if self.part == Part::Records && text < room.text => text,
            prepared => {
                let text = *prepared.as_ref().unwrap_or(&0);
                let read = prepared.and_then(|_| self.check_blank());
                return Taken { messages: Vec::new(), stored: Vec::new(), text, read };
            }
        };
        // All payloads lie in one buffer: messages of a file are settled about as they were read.
        let (mut messages, mut payloads, mut taken) = (Vec::new(), Vec::new(), 0);
        let (mut stored, mut was_stored) = (Vec::new(), false);
        let read = loop {
            if messages.len() >= room.messages || payloads.len() >= room.bytes || before + taken >= room.text {
                break Ok(());
            }
            match self.record(taken, options) {
                Ok(Some(length)) => {
                    let (start, check) = (self.at + taken as u64, self.trail.check());
                    let record = taken..taken + length;
                    taken += length;
                    self.trail.pass(&self.buffer[record.clone()]);
                    let end = (start + length as u64, Some(self.trail.check()));
                    let is_stored = is_stored(&self.stored, start);
                    if is_stored {
                        if !was_stored {
                            stored.push(start);
                        }
                        (was_stored, self.last_end) = (true, end);
                        continue;
                    }
                    let from = payloads.len();
                    if let Some(message) = self.message(record, (start, check), options, &mut payloads) {
                        messages.push((message, from..payloads.len()));
                        (was_stored, self.last_end) = (false, end);
                    }
                }
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        self.drop_first(taken);
        let payloads = Bytes::from(payloads);
        let with_payload = |(message, range)| Message { payload: payloads.slice(range), ..message };
        let messages = messages.into_iter().map(with_payload).collect();
        Taken { messages, stored, text: before + taken, read: read.and_then(|()| self.check_blank()) }
    }

    /// Passes over the start of the buffer.
    fn pass(&mut self, length: usize) {
        self.trail.pass(&self.buffer[..length]);
        self.drop_first(length);
    }

    /// Takes the start of the buffer out of it.
    fn drop_first(&mut self, length: usize) {
        self.buffer.drain(..length);
        self.at += length as u64;
        if self.buffer.capacity() > 4 * CHUNK && self.buffer.len() < CHUNK {
            self.buffer.shrink_to(CHUNK);
        }
    }

    fn check_blank(&self) -> Result<(), Fault> {
        if matches!(self.input, Input::Plain { .. }) || self.at.saturating_sub(self.last_end.0) <= MAX_BLANK {
            return Ok(());
        }
        let reason = format!("more than {} MiB without a message", MAX_BLANK >> 20);
        Err(Fault::new(Code::FileGzip, reason).at_offset(usize::try_from(self.last_end.0).unwrap_or(usize::MAX)))
    }

    /// The length of the record at `from` of the buffer, which is filled as far as that takes. `None` at the end.
    fn record(&mut self, from: usize, options: &SourceOptions) -> Result<Option<usize>, Fault> {
        let mut looked_at = from;
        loop {
            if self.is_all && self.buffer.len() == from {
                return Ok(None);
            }
            let rest = &self.buffer[from..];
            let length = match &options.rows {
                Rows::Whole => self.is_all.then_some(rest.len()),
                Rows::Lines => memchr(b'\n', &self.buffer[looked_at..])
                    .map(|end| looked_at + end + 1 - from)
                    .or_else(|| self.is_all.then_some(rest.len())),
                Rows::Csv(csv) => csv.record_length(rest, self.is_all),
            };
            let most = options.limits.bytes;
            // A line end belongs to no message.
            if length.unwrap_or(rest.len()) > most + 2 {
                let start = usize::try_from(self.at + from as u64).unwrap_or(usize::MAX);
                let reason = format!("a message of more than {most} bytes");
                return Err(Fault::new(Code::FileTooLong, reason).at_offset(start));
            }
            if length.is_some() {
                return Ok(length);
            }
            looked_at = self.buffer.len();
            self.fill()?;
        }
    }

    /// Puts its payload behind those that are there.
    fn message(
        &mut self,
        record: Range<usize>,
        (start, check): (u64, Check),
        options: &SourceOptions,
        payloads: &mut Vec<u8>,
    ) -> Option<Message> {
        let bytes = &self.buffer[record];
        let (payload, content_type, fault) = match &options.rows {
            Rows::Whole => (bytes, self.content_type, None),
            Rows::Lines => (line(bytes)?, self.content_type, None),
            Rows::Csv(csv) => {
                if is_blank(bytes) {
                    return None;
                }
                match csv.row(self.columns.as_ref()?, bytes, &options.limits, &mut self.document) {
                    Ok(()) => {
                        formats::json::emit(&self.document, payloads);
                        (&b""[..], self.content_type, None)
                    }
                    Err(fault) => (bytes, "text/csv", Some(in_file(&fault, start))),
                }
            }
        };
        payloads.extend_from_slice(payload);
        Some(Message { origin: Arc::clone(&self.origin), start, check, payload: Bytes::new(), content_type, fault })
    }

    /// Goes to the first record, or about as many bytes nearer to it as `text` says. How many there were.
    fn prepare(&mut self, text: usize, options: &SourceOptions) -> Result<usize, Fault> {
        let mut taken = 0;
        while taken < text {
            taken += match (self.part, &options.rows) {
                (Part::Mark, rows) => self.byte_order_mark(rows)?,
                (Part::Header, Rows::Csv(csv)) => self.header(csv, text - taken, options)?,
                (Part::Records, _) => break,
                _ => self.go_on(text - taken)?,
            };
        }
        Ok(taken)
    }

    fn byte_order_mark(&mut self, rows: &Rows) -> Result<usize, Fault> {
        while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.is_all {
            self.fill()?;
        }
        let length = if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        self.pass(length);
        self.part = Part::Known;
        if let Rows::Csv(csv) = rows {
            self.columns = csv.fixed_columns().cloned();
            self.part = if csv.has_header() { Part::Header } else { Part::Known };
        }
        Ok(length)
    }

    /// Reads the names of the columns from the first row that is not blank. A file without one has no rows.
    fn header(&mut self, csv: &csv::Reader, text: usize, options: &SourceOptions) -> Result<usize, Fault> {
        let mut taken = 0;
        while taken < text && self.part == Part::Header {
            let Some(length) = self.record(taken, options)? else {
                self.part = Part::Known;
                break;
            };
            let record = &self.buffer[taken..taken + length];
            if !is_blank(record) {
                let start = self.at + taken as u64;
                let columns = csv.columns(record, &options.limits).map_err(|fault| in_file(&fault, start))?;
                (self.columns, self.part) = (Some(columns), Part::Known);
            }
            taken += length;
        }
        self.pass(taken);
        Ok(taken)
    }

    /// Passes over what was read earlier.
    fn go_on(&mut self, text: usize) -> Result<usize, Fault> {
        if self.at >= self.goal {
            if self.goal > 0 {
                self.check_known()?;
            }
            self.last_end = self.here();
            self.part = Part::Records;
            return Ok(0);
        }
        if let Input::Plain { file, left } = &mut self.input
            && !self.is_proving
        {
            self.buffer.clear();
            self.is_all = false;
            let all = self.check.and_then(|check| check.all);
            let trail = Trail::of(file, self.goal, all).map_err(|error| unreadable(&error))?;
            self.trail = trail.ok_or_else(shorter)?;
            file.seek(SeekFrom::Start(self.goal)).map_err(|error| unreadable(&error))?;
            *left = self.version.size.saturating_sub(self.goal);
            self.at = self.goal;
            return Ok(0);
        }
        if self.buffer.is_empty() {
            if self.is_all {
                return Err(shorter());
            }
            self.fill()?;
        }
        let known = usize::try_from(self.goal - self.at).unwrap_or(usize::MAX).min(self.buffer.len()).min(text);
        self.pass(known);
        Ok(known)
    }

    /// Whether the place to go on at is one of this text.
    fn check_known(&mut self) -> Result<(), Fault> {
        // By the mark at its start a file may be further on than a place that an earlier build has written down.
        if self.at == self.goal && self.check.is_some_and(|check| !check.agrees(self.trail.check())) {
            return Err(Fault::new(Code::FileChanged, "another file was written over the one that was read"));
        }
        if self.origin.is_whole {
            if self.buffer.is_empty() && !self.is_all {
                self.fill()?;
            }
            if !self.buffer.is_empty() {
                return Err(Fault::new(Code::FileChanged, "its first messages were read in another format"));
            }
        }
        Ok(())
    }

    /// One chunk more.
    fn fill(&mut self) -> Result<(), Fault> {
        let old = self.buffer.len();
        let end = usize::try_from(self.at).unwrap_or(usize::MAX).saturating_add(old);
        let most = match &self.input {
            Input::Plain { left, .. } => usize::try_from(*left).unwrap_or(usize::MAX).min(CHUNK),
            Input::Gzip(_) => CHUNK,
        };
        self.buffer.resize(old + most, 0);
        let read = match &mut self.input {
            Input::Plain { file, .. } => read(file, &mut self.buffer[old..]),
            Input::Gzip(decoder) => read(decoder, &mut self.buffer[old..]),
        };
        self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
        match (&mut self.input, read) {
            (Input::Plain { left, .. }, Ok(count)) => {
                *left -= count as u64;
                self.is_all = *left == 0;
                if count == 0 && most > 0 {
                    return Err(Fault::new(Code::FileChanged, "the file has become shorter while it was read"));
                }
                Ok(())
            }
            (Input::Gzip(_), Ok(count)) => {
                self.is_all = count == 0;
                Ok(())
            }
            (Input::Plain { .. }, Err(error)) => Err(unreadable(&error).at_offset(end)),
            (Input::Gzip(_), Err(error)) => Err(Fault::new(Code::FileGzip, error.to_string()).at_offset(end)),
        }
    }
}

/// A line without its end; `None` when nothing stands in it.
fn line(record: &[u8]) -> Option<&[u8]> {
    let line = record.strip_suffix(b"\n").unwrap_or(record);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    (!line.trim_ascii().is_empty()).then_some(line)
}

/// Whether a record of CSV is a line end alone.
fn is_blank(record: &[u8]) -> bool {
    record.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// The fault of a record at its byte in the file.
fn in_file(fault: &Fault, start: u64) -> Fault {
    let place = fault.place();
    let offset = start.saturating_add(place.offset.unwrap_or(0) as u64);
    let moved = Fault::new(fault.code(), fault.reason()).at_offset(usize::try_from(offset).unwrap_or(usize::MAX));
    match &place.field {
        Some(field) => moved.in_field(field.as_str()),
        None => moved,
    }
}

fn read(input: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn shorter() -> Fault {
    Fault::new(Code::FileChanged, "the file has become shorter")
}

fn unreadable(error: &std::io::Error) -> Fault {
    Fault::new(Code::FileRead, error.to_string())
}

/// The media type of the messages of a file.
fn content_type(name: &str, rows: &Rows) -> &'static str {
    match rows {
        Rows::Lines | Rows::Csv(_) => "application/json",
        Rows::Whole => match name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
            Some("json") => "application/json",
            Some("xml") => "application/xml",
            Some("csv") => "text/csv",
            Some("txt") => "text/plain",
            _ => "",
        },
    }
}
