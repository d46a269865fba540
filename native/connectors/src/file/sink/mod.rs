//! The file out: a batch is one block of lines, on disk before it counts as delivered.

mod place;
mod registry;
mod repair;
mod spec;
mod writer;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use message::{Code, Fault};

use crate::contract::{Delivery, Health, LocalFuture, Outcome, Sink};
use crate::file::line::put_line;
use place::Place;
use registry::open;
use writer::Writer;

pub use repair::Repaired;
pub use spec::FileSinkKind;

#[derive(Clone, Debug)]
pub struct FileOptions {
    /// The folder for files of all customers; made when missing. May itself be reached through a symlink.
    pub base: PathBuf,
    /// Whose file it is. Its folder is `base/<customer>`.
    pub customer: String,
    /// Below the customer's folder, through no symlink; or absolute, where that is allowed.
    pub path: String,
    pub allow_absolute: bool,
}

/// Several sinks, of any shard, may write the same file: they share one writer.
pub struct FileSink {
    place: Place,
    writer: RefCell<Option<Arc<Writer>>>,
    /// Kept from batch to batch, for its memory.
    lines: RefCell<Vec<u8>>,
}

impl FileSink {
    /// Looks at the path alone: `file/outside` when it leaves the customer's folder, `config/invalid-value`
    /// when it names no file, `config/invalid-name` when the customer is none. The file is opened by the first
    /// batch, or by `open`.
    pub fn new(options: &FileOptions) -> Result<FileSink, Fault> {
        let place = Place::new(options)?;
        Ok(FileSink { place, writer: RefCell::default(), lines: RefCell::default() })
    }

    /// Opens the file now, makes its folders, and repairs a last line torn by a crash. Waits for
    /// the disk, off this thread. `file/write` may be tried again, `file/outside` not.
    pub async fn open(&self) -> Result<Repaired, Fault> {
        let place = self.place.clone();
        let (writer, repaired) = off_thread(move || open(&place)).await?;
        *self.writer.borrow_mut() = Some(writer);
        Ok(repaired)
    }

    async fn append(&self, lines: Vec<u8>) -> (Vec<u8>, Result<(), Fault>) {
        let (place, known) = (self.place.clone(), self.writer.borrow().clone());
        let appended = off_thread(move || {
            let writer = match known.filter(|writer| writer.is_at(&place)) {
                Some(writer) => writer,
                None => open(&place)?.0,
            };
            let result = writer.append(&lines);
            Ok((writer, lines, result))
        });
        match appended.await {
            Ok((writer, lines, result)) => {
                *self.writer.borrow_mut() = Some(writer);
                (lines, result)
            }
            Err(fault) => {
                *self.writer.borrow_mut() = None;
                (Vec::new(), Err(fault))
            }
        }
    }
}

impl Sink for FileSink {
    /// The file, or the nearest folder above it that there is, can be written.
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        let place = self.place.clone();
        Box::pin(off_thread(move || place.check()))
    }

    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async move { self.open().await.map(drop) })
    }

    /// A file whose end could not be put right is opened and repaired by the next batch.
    fn health(&self) -> Health {
        match &*self.writer.borrow() {
            Some(writer) if writer.is_broken() => Health::Failing(Code::FileWrite),
            _ => Health::Up,
        }
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut lines = self.lines.take();
            lines.clear();
            let each: Vec<Result<(), Fault>> =
                batch.iter().map(|delivery| put_line(delivery.payload, delivery.content_type, &mut lines)).collect();
            let mut written = Ok(());
            if !lines.is_empty() {
                (lines, written) = self.append(lines).await;
            }
            self.lines.replace(lines);
            each.into_iter().map(|line| outcome(line, &written)).collect()
        })
    }

    /// Everything delivered is on disk already; the file is closed with its last sink.
    fn close(&self) -> LocalFuture<'_, ()> {
        self.writer.take();
        Box::pin(std::future::ready(()))
    }
}

fn outcome(line: Result<(), Fault>, written: &Result<(), Fault>) -> Outcome {
    match (line, written) {
        (Err(fault), _) => Outcome::Permanent(fault),
        (Ok(()), Ok(())) => Outcome::Delivered,
        (Ok(()), Err(fault)) if fault.code().retryable() => Outcome::Retry { fault: fault.clone(), after: None },
        (Ok(()), Err(fault)) => Outcome::Permanent(fault.clone()),
    }
}

/// A disk may take seconds; the shard must not wait for it.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    let ended = |_| Fault::new(Code::FileWrite, "the write was broken off");
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
