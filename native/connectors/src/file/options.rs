//! What a pipeline file says of files.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::{Csv, CsvEmpty, CsvHeader, Span, is_default};
use crate::texts;

/// A file that grows by one line of NDJSON for every message: JSON without blanks between its tokens; XML and
/// other text as a JSON string. What is not UTF-8 is a dead letter, `convert/not-representable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileOut {
    /// Below the customer's folder for files, `<data>/files/<customer>/`; without `..`. Outs of a customer that name the
    /// same file share it, line by line. Absolute only on a node that runs with `--files-anywhere`.
    #[schemars(length(min = 1, max = 1024), extend("format" = "out-path"))]
    pub path: String,
}

texts! {
    /// A column by its path: `price`, `["unit price"]`.
    Column = "path";
    /// A folder below the customer's folder for files.
    FolderPath = "out-path";
}

/// The files of a folder. Each is read once it has not changed for a while, the oldest first, and is a message, or one for
/// each line or row. A restart goes on where the first message begins that is not stored; what comes twice then has the
/// same id. A file whose name ends in `.gz` is decompressed. The folder is looked into once a second; folders in it, hidden
/// files and symlinks are passed over. At most 10,000 files may lie there.
///
/// A file is known by its inode, the time when it was made, where the file system tells that, and its first and last
/// bytes: one that is renamed goes on as the same one, and so do all when their disk is attached again. One that was
/// written to is read on where all that stands before is as it was read, and otherwise is another file and read from
/// its start: it is read again up to there, in steps. Where it has only become longer and stays (`done: keep`), no more
/// than 16 MiB a second of all such files of an in are read again, after 64 MiB at once: beyond that it is read on by
/// its first 4 KiB and the last 64 to 128 KiB alone, and the rest is read again later, also after a restart. What was
/// written over between is then found later, and lines that were appended come again under new ids. A file that an
/// earlier version has read is not told so until then. Hard links are one file. A file that is removed is known until
/// the folder was looked into for a week without it, of at most 10,000 the latest; what was read of it is still
/// delivered. The folder is made once: when it vanishes, the in is failing with
/// `file/missing` until it is back.
///
/// One shard of one node reads them, whatever `--threads` says. Two ins whose patterns may fit the same name of a folder are
/// refused with `config/conflict`; where that shows only on disk, such as by a symlink, the second one is failing with it.
/// How far it is stands in `<data>/files/.sources/<customer>/<pipeline>/`, which is locked meanwhile; nodes that share it read
/// by a lease, one after the other. Every message has the headers `File-Name`, with other characters than visible ASCII as in
/// a URL, and `File-Offset`, its first byte in the file's text.
///
/// A row of CSV that does not fit becomes a dead letter; a file without a row is done. A file that cannot be read on,
/// such as one with a line that is longer than `limits.bytes`, or a gzip of 64 MiB of blank lines, stays where it is,
/// and the in is failing until the file has changed or gone. An event names the file, the reason and the byte, and
/// `stats` counts such files; one whose name is no UTF-8 is such a file. A file that is deleted or moved is for a
/// moment in the hidden folder `.vrsky-away` beside it; what a killed node has left there is read or put away at the
/// next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileIn {
    /// The folder, below the customer's folder for files, `<data>/files/<customer>/`; without `..`. It is made when missing,
    /// but not when it was there before. Absolute only on a node that runs with `--files-anywhere`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: FolderPath,
    /// Which names are read: `*` stands for any characters, `?` for one, `[a-z]` for one of these.
    #[serde(default = "pattern")]
    #[schemars(length(min = 1, max = 256))]
    pub pattern: String,
    /// What a message is.
    pub format: FileFormat,
    /// What becomes of a file when every message of it is stored, or a dead letter.
    #[serde(default)]
    pub done: FileDone,
    /// How long a file has to be as it is, in size and time of change, before it is read: others may still be writing.
    #[serde(default = "settle_for")]
    pub settle_for: Span,
}

fn pattern() -> String {
    "*".to_owned()
}

fn settle_for() -> Span {
    Span::constant("2s", Duration::from_secs(2))
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileFormat {
    /// The whole file, or a line.
    Text(TextFormat),
    /// A row of CSV.
    Rows(CsvFormat),
}

/// Messages that are passed on as they stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// The whole file is a message, of the type that its name ends in: `.json`, `.xml`, `.csv`, `.txt`; others are looked
    /// at. An empty file is none.
    Whole,
    /// Each line is a message of JSON, a last one without an end too; blank lines are none.
    Ndjson,
}

/// A row of CSV is a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvFormat {
    /// Each row is a message, as a JSON object.
    pub csv: CsvRows,
}

/// How the rows of CSV are written, and what they hold. A `convert` from CSV has the same options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvRows {
    /// The character between two fields: `,`, `;`, `|`, or the tab as `"\t"`. Without it: a comma.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1))]
    pub delimiter: Option<String>,
    /// The character around a field that holds a delimiter, a line end or the character itself, which then stands there
    /// twice; or `none`. Without it: `"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub quote: Option<String>,
    /// What the first row is.
    #[serde(skip_serializing_if = "is_default")]
    pub header: CsvHeader,
    /// The names of the columns, in order. A header row has to be the same. Without it, the header names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(min = 1, max = 1024)))]
    pub columns: Vec<String>,
    /// Columns that are numbers; others stay texts. A field that is no JSON number makes a dead letter of its row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub numbers: Vec<Column>,
    /// Columns that are booleans: `true`, `false`, `1` or `0`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub booleans: Vec<Column>,
    /// Whether numbers may also be written as in XML Schema: `+5`, `.5`, `005`.
    #[serde(skip_serializing_if = "is_default")]
    pub number_format: CsvNumbers,
    /// What an empty field is.
    #[serde(skip_serializing_if = "is_default")]
    pub empty: CsvEmpty,
}

impl CsvRows {
    /// How they are written.
    pub(super) fn written(&self) -> Csv {
        let usual = Csv::default();
        Csv {
            delimiter: self.delimiter.clone().unwrap_or(usual.delimiter),
            quote: self.quote.clone().unwrap_or(usual.quote),
            header: self.header,
            columns: self.columns.clone(),
            empty: self.empty,
            line_end: usual.line_end,
        }
    }
}

/// How numbers are written in CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CsvNumbers {
    /// As in JSON.
    #[default]
    Json,
    /// Also as in XML Schema.
    XmlSchema,
}

/// What becomes of a file that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileDone {
    /// It stays or goes.
    Place(DoneWord),
    /// It moves.
    Move(MoveTo),
}

impl Default for FileDone {
    fn default() -> Self {
        FileDone::Place(DoneWord::Keep)
    }
}

/// What becomes of a file, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoneWord {
    /// It stays where it is, and is not read again. What is appended to it later is read, but with `format: whole`, where a
    /// file that has changed is another message.
    Keep,
    /// It is deleted.
    Delete,
}

/// A folder for files that are done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveTo {
    /// The folder that it moves into, on the same disk, as `path` has it; made when missing. Where its name is taken there,
    /// `orders.csv` becomes `orders.2.csv`.
    #[serde(rename = "move")]
    #[schemars(length(min = 1, max = 1024))]
    pub folder: FolderPath,
}
