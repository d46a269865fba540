//! Which topics the session at the broker is subscribed to, on disk: no broker tells, and one that a pipeline no longer
//! names would be delivered for ever.
//!
//! What is about to be asked for is written down before, and what is given up until the broker has said so: a crash in
//! between leaves a topic too many in the record, and never one too few.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

const FILE: &str = "topics.json";
const DRAFT: &str = "topics.json.new";
const MAX_BYTES: u64 = 1 << 20;

/// Of one session. With a filter, the QoS that the broker has granted; none where it was asked and has not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Subscribed {
    broker: String,
    client_id: String,
    pub(super) filters: BTreeMap<String, Option<u8>>,
}

impl Subscribed {
    pub(super) fn none(broker: &str, client_id: &str) -> Subscribed {
        Subscribed { broker: broker.to_owned(), client_id: client_id.to_owned(), filters: BTreeMap::new() }
    }

    /// What is written down of the session; nothing where that is of another one. Blocks.
    pub(super) fn read(folder: &Path, broker: &str, client_id: &str) -> io::Result<Subscribed> {
        let none = Subscribed::none(broker, client_id);
        let file = match File::open(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let read: Subscribed = serde_json::from_slice(&bytes)?;
        Ok(if (&read.broker, &read.client_id) == (&none.broker, &none.client_id) { read } else { none })
    }

    /// On disk when it returns. Blocks.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut draft = File::create(folder.join(DRAFT))?;
        draft.write_all(&serde_json::to_vec(self)?)?;
        draft.sync_data()?;
        fs::rename(folder.join(DRAFT), folder.join(FILE))?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_counts_for_its_session_alone() {
        let folder = std::env::temp_dir().join(format!("vrsky-subscribed-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let none = Subscribed::none("mqtt a:1", "one");
        assert_eq!(Subscribed::read(&folder, "mqtt a:1", "one").unwrap(), none);
        let filters = [("a/#".to_owned(), Some(1)), ("b".to_owned(), None)].into();
        let two = Subscribed { filters, ..none.clone() };
        two.write(&folder).unwrap();
        assert_eq!(Subscribed::read(&folder, "mqtt a:1", "one").unwrap(), two);
        assert!(Subscribed::read(&folder, "mqtt a:1", "two").unwrap().filters.is_empty());
        assert!(Subscribed::read(&folder, "mqtt b:1", "one").unwrap().filters.is_empty());
        fs::write(folder.join(FILE), "{").unwrap();
        Subscribed::read(&folder, "mqtt a:1", "one").unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
    }
}
