//! The limit of CSV files: the `csv` crate and `serde_json`, a publish for each row, its PubAck. A file that lies in
//! the folder is read at once, and removed when all of it is stored. Nothing is kept for a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::arguments::Arguments;
use crate::wire::{Frame, Link, STAMPED, assert_stored, publish};

const WINDOW: usize = 4_096;
/// Written at once.
const BURST: usize = 256;
const LOOK: Duration = Duration::from_millis(20);

/// A row of the bench's file.
#[derive(Deserialize, Serialize)]
struct Row<'a> {
    id: &'a str,
    sku: &'a str,
    name: &'a str,
    qty: u32,
    price: f64,
    country: &'a str,
    day: &'a str,
    text: &'a str,
}

/// Until the server goes.
#[allow(clippy::disallowed_methods)] // its thread has nothing else to do
pub fn run(options: &Arguments) -> ! {
    let (folder, subject) = (Path::new(options.text("folder")), options.text("subject"));
    let inbox = format!("_INBOX.csv{}", std::process::id());
    let mut link = Link::connect(options.text("server"), &[(&inbox, 1)]);
    println!("ready");
    loop {
        match files(folder).first() {
            Some(path) => {
                store(&mut link, path, subject.as_bytes(), inbox.as_bytes());
                fs::remove_file(path).unwrap();
            }
            None => std::thread::sleep(LOOK),
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "csv")).collect()
}

fn store(link: &mut Link, path: &Path, subject: &[u8], inbox: &[u8]) {
    let mut rows = csv::Reader::from_path(path).unwrap();
    let names = rows.headers().unwrap().clone();
    let (mut record, mut json) = (csv::StringRecord::new(), Vec::new());
    let (mut sent, mut stored) = (0, 0);
    while rows.read_record(&mut record).unwrap() {
        let row: Row<'_> = record.deserialize(Some(&names)).unwrap();
        json.clear();
        serde_json::to_writer(&mut json, &row).unwrap();
        publish(&mut link.out, subject, inbox, STAMPED, &json);
        sent += 1;
        if sent % BURST == 0 {
            link.flush();
        }
        while sent - stored >= WINDOW {
            stored += pub_acks(link);
        }
    }
    while stored < sent {
        stored += pub_acks(link);
    }
}

/// Waits for some.
fn pub_acks(link: &mut Link) -> usize {
    let mut stored = 0;
    link.burst(|frame, _| {
        if let Frame::Message(message) = frame {
            assert_stored(message.payload);
            stored += 1;
        }
    });
    stored
}
