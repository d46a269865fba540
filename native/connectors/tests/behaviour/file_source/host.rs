//! A folder of files, a source that reads it, and a host that settles.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::file::source::{Done, FileSource, Rows, SourceOptions};
use connectors::{ConnectorError, Health, Incoming, Settled, Source};
use formats::csv::{CsvOptions, Reader};
use harness::Folder;
use message::{Code, Fault, Limits};

pub const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

/// Files of customers, and a folder for the state.
pub struct Files(Folder);

impl Files {
    /// With the folder `inbox` of acme.
    pub fn new() -> Files {
        let files = Files(Folder::new());
        fs::create_dir_all(files.inbox()).unwrap();
        files
    }

    pub fn base(&self) -> PathBuf {
        self.0.path().join("files")
    }

    pub fn inbox(&self) -> PathBuf {
        self.base().join("acme/inbox")
    }

    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.inbox().join(name), text).unwrap();
    }

    pub fn append(&self, name: &str, text: &str) {
        let mut file = fs::File::options().append(true).open(self.inbox().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Writes over the start of a file, which is never shorter meanwhile.
    pub fn overwrite(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = fs::File::options().write(true).open(self.inbox().join(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.inbox().join(from), self.inbox().join(to)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.inbox().join(name)).unwrap();
    }

    /// Changes what is written down, as no source reads it.
    pub fn edit_state(&self, edit: impl Fn(&mut serde_json::Value)) {
        let path = self.state().join("files.json");
        let mut state = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut state);
        fs::write(path, state.to_string()).unwrap();
    }

    pub fn exists(&self, name: &str) -> bool {
        self.inbox().join(name).exists()
    }

    pub fn options(&self, rows: Rows) -> SourceOptions {
        SourceOptions {
            fence: None,
            base: self.base(),
            customer: "acme".into(),
            path: "inbox".into(),
            allow_absolute: false,
            pattern: "*".into(),
            state: self.state(),
            rows,
            done: Done::Keep,
            settle_for: Duration::ZERO,
            poll: SHORT,
            limits: Limits::default(),
            max_messages: 4096,
            max_bytes: 16 << 20,
        }
    }

    pub async fn source(&self, rows: Rows) -> Rc<FileSource> {
        connected(self.options(rows)).await
    }

    /// Of lines; files that are done move to `done`.
    pub async fn moving(&self) -> Rc<FileSource> {
        self.putting_away(Done::Move { folder: "done".into() }).await
    }

    /// Of lines.
    pub async fn putting_away(&self, done: Done) -> Rc<FileSource> {
        connected(SourceOptions { done, ..self.options(Rows::Lines) }).await
    }

    /// Of lines of 1,000 bytes at most.
    pub async fn of_short_lines(&self) -> Rc<FileSource> {
        let mut options = self.options(Rows::Lines);
        options.limits.bytes = 1_000;
        connected(options).await
    }
}

pub async fn connected(options: SourceOptions) -> Rc<FileSource> {
    let source = Rc::new(FileSource::new(options).unwrap());
    source.connect().await.unwrap();
    source
}

pub fn csv(options: &CsvOptions) -> Rows {
    Rows::Csv(Arc::new(Reader::new(options).unwrap()))
}

pub fn stored() -> Settled {
    Settled::Stored { id: "1".into() }
}

pub fn refused(code: Code) -> Settled {
    Settled::Refused { fault: Fault::new(code, "no"), retry_after: Some(SHORT) }
}

/// The next messages, which are not settled.
pub async fn take(source: &FileSource, count: usize) -> Vec<Incoming> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = source.read_batch(count - taken.len(), usize::MAX, LONG).await.unwrap();
        assert!(!batch.is_empty(), "a message within a minute, beside {} that came", taken.len());
        taken.extend(batch);
    }
    taken
}

/// The next messages, stored.
pub async fn store(source: &FileSource, count: usize) -> Vec<String> {
    let taken = take(source, count).await;
    settle(source, &taken);
    texts(&taken)
}

/// Puts a file there and takes its message: since then, the folder was looked into.
pub async fn looks(files: &Files, source: &FileSource, name: &str) {
    files.put(name, format!("{name}\n"));
    assert_eq!(store(source, 1).await, [name], "and nothing else");
}

pub fn settle(source: &FileSource, taken: &[Incoming]) {
    taken.iter().for_each(|incoming| source.settle(incoming.item, stored()));
}

pub fn texts(taken: &[Incoming]) -> Vec<String> {
    taken.iter().map(text).collect()
}

pub fn text(incoming: &Incoming) -> String {
    String::from_utf8_lossy(&incoming.payload).into_owned()
}

pub fn places(taken: &[Incoming]) -> Vec<String> {
    taken.iter().map(|incoming| incoming.place.as_deref().unwrap().to_owned()).collect()
}

/// Waits for what the source is about to do.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LONG, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}

pub async fn fails(source: &FileSource, code: Code) {
    until(code.as_str(), || source.health() == Health::Failing(code)).await;
}

/// Looks into the folder that often, and brings nothing. A file that is put there first is seen, since the folder is
/// looked into in one go.
pub async fn brings_nothing_until(source: &FileSource, what: &str, mut done: impl FnMut() -> bool) {
    while !done() {
        let batch = source.read_batch(16, usize::MAX, SHORT).await.unwrap();
        assert!(batch.is_empty(), "before {what}: {:?}", batch.iter().map(text).collect::<Vec<_>>());
    }
}

pub async fn close(source: &FileSource) {
    source.close(LONG).await;
    assert_eq!(source.read_batch(1, 1, LONG).await.unwrap_err(), ConnectorError::EndOfInput);
}
