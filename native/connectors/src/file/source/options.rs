//! What a file in is told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use formats::csv;
use glob::Pattern;
use message::{Code, Fault, Limits};

use crate::file::folder::{Folder, Wanted};
use crate::kind::Fence;

/// What a message is.
#[derive(Clone, Debug)]
pub enum Rows {
    /// The whole file.
    Whole,
    /// A line, such as those of NDJSON. Blank ones are none.
    Lines,
    /// A row of CSV, as a JSON object.
    Csv(Arc<csv::Reader>),
}

/// What becomes of a file when every message of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It stays where it is, and is not read again; what is appended to it later is.
    Keep,
    Delete,
    /// Into another folder of the customer's, made when missing. It gets a number where its name is taken.
    Move {
        folder: String,
    },
}

#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The folder for files of all customers; made when missing. May itself be reached through a symlink.
    pub base: PathBuf,
    /// Whose files they are. Their folder is `base/<customer>`.
    pub customer: String,
    /// The folder that is looked into, below the customer's, through no symlink; or absolute, where that is allowed.
    pub path: String,
    pub allow_absolute: bool,
    /// Which names: `*.csv`, with `*`, `?` and `[a-z]`. A name that begins with a dot fits only a pattern that does.
    pub pattern: String,
    /// Where the source writes down how far it is: a folder of its own, made when missing.
    pub state: PathBuf,
    pub rows: Rows,
    pub done: Done,
    /// A file is read once its size and time have not changed for as long.
    pub settle_for: Duration,
    /// How often the folder is looked into.
    pub poll: Duration,
    /// Caps on each message; `bytes` on its payload.
    pub limits: Limits,
    /// Whether the node may still read, where a lease says so; see `state.rs`.
    pub fence: Option<Arc<dyn Fence>>,
    /// What may be read and not yet settled.
    pub max_messages: usize,
    pub max_bytes: usize,
}

/// The options, checked as far as that goes without a look at the disk.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) folder: Folder,
    pub(super) target: Option<Folder>,
    pub(super) pattern: Pattern,
    pub(super) options: SourceOptions,
}

impl Plan {
    pub(super) fn new(options: SourceOptions) -> Result<Plan, Fault> {
        let SourceOptions { base, customer, path, allow_absolute, .. } = &options;
        let wanted = |path| Wanted { base, customer, path, allow_absolute: *allow_absolute };
        let folder = wanted(path).to_folder(Code::FileRead)?;
        let target = match &options.done {
            Done::Move { folder } => Some(wanted(folder).to_folder(Code::FileWrite)?),
            Done::Keep | Done::Delete => None,
        };
        if target.as_ref().is_some_and(|target| (&target.base, &target.names) == (&folder.base, &folder.names)) {
            let reason = "files that are done may not move into the folder that they are read from";
            return Err(Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/done/move"));
        }
        let pattern = pattern(&options.pattern)?;
        Ok(Plan { folder, target, pattern, options })
    }

    /// Whether a file of this name is read.
    pub(super) fn takes(&self, name: &str) -> bool {
        takes(&self.pattern, name)
    }
}

/// A name that begins with a dot fits only a pattern that does.
pub(super) fn takes(pattern: &Pattern, name: &str) -> bool {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    pattern.matches_with(name, options)
}

pub(super) fn pattern(text: &str) -> Result<Pattern, Fault> {
    let refused = |reason: String| Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/pattern");
    if text.is_empty() || text.contains('/') || text.contains("**") {
        return Err(refused(
            "a pattern is of names in the folder itself, such as `*.csv`, without `/` and `**`".into(),
        ));
    }
    Pattern::new(text).map_err(|error| refused(format!("the pattern {text:?} cannot be read: {}", error.msg)))
}
