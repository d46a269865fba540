//! One writer per file in this process, whatever path and whichever shard leads to it.

use std::collections::HashMap;
use std::fs::TryLockError;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use message::{Code, Fault};

use super::place::Place;
use super::repair::{Repaired, repair};
use super::writer::Writer;
use crate::file::folder::Identity;

static WRITERS: Mutex<Option<HashMap<Identity, Weak<Writer>>>> = Mutex::new(None);

/// The file's writer, repaired when this opens it. Blocks.
///
/// The file is locked (`flock`), so that no second process cuts off lines of the first when it
/// repairs or takes back a failed write. The kernel lifts the lock when a process dies.
pub(super) fn open(place: &Place) -> Result<(Arc<Writer>, Repaired), Fault> {
    // Held while opening: two sinks that start together must not both repair.
    let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    let writers = writers.get_or_insert_default();
    let opened = place.open()?;
    let known = writers.get(&opened.identity).and_then(Weak::upgrade);
    if let Some(writer) = known.filter(|writer| writer.is_usable()) {
        return Ok((writer, Repaired::Whole));
    }
    writers.retain(|_, writer| writer.strong_count() > 0);
    match opened.file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Fault::new(Code::FileWrite, "another process, or a write that is ending, holds the file"));
        }
        // Some network file systems know no locks; then there is none to be had.
        Err(TryLockError::Error(_)) => {}
    }
    let repaired = repair(&opened.file).map_err(|error| place.failed(&error))?;
    let identity = opened.identity;
    let writer = Arc::new(Writer::new(opened, place.clone()));
    writers.insert(identity, Arc::downgrade(&writer));
    Ok((writer, repaired))
}
