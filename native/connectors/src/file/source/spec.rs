//! From the options of a file in to its source.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use formats::csv::{CsvOptions, Reader};
use formats::xml::NumberFormat;
use message::{Code, Fault, Limits};
use serde_json::Value;

use super::options::{pattern, takes};
use super::{Done, FileSource, Rows, SourceOptions};
use crate::contract::Source;
use crate::file::options::{CsvNumbers, CsvRows, DoneWord, FileDone, FileFormat, FileIn, TextFormat};
use crate::kind::{
    Attach, Claim, ClaimedFiles, Described, Host, PipelineContext, Secrets, SourceKind, SourceSpec, SourceTask,
    source_state, typed,
};

/// How often the folder is looked into.
const POLL: Duration = Duration::from_secs(1);
/// What is read and not settled.
const MAX_MESSAGES: usize = 4_096;
const MAX_BYTES: usize = 16 << 20;
pub struct FileSourceKind;

impl Described for FileSourceKind {
    type Options = FileIn;
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "The files of a folder: whole, or a message for each line or row of CSV.";
    const EXAMPLE: &'static str = include_str!("../example_in.yaml");
    const CHECKED: &'static str =
        "The options alone. A folder that cannot be read is shown while the node runs: the in is failing.";
}

impl SourceKind for FileSourceKind {
    fn compile(&self, options: &Value, pipeline: &PipelineContext<'_>) -> Result<Arc<dyn SourceSpec>, Vec<Fault>> {
        let options: FileIn = typed(options)?;
        let mut faults = Vec::new();
        if let Err(fault) = pattern(&options.pattern) {
            faults.push(fault);
        }
        let rows = rows(&options.format).map_err(|fault| faults.push(fault)).ok();
        let done = done(&options.done);
        for (path, pointer) in [(Some(&*options.path), "/path"), (target(&done), "/done/move")] {
            if path.is_some_and(leads_out) {
                let reason = "the path leads out of the folder for files";
                faults.push(Fault::new(Code::ConfigFileOutside, reason).at_pointer(pointer));
            }
        }
        if target(&done).is_some_and(|folder| names(folder).eq(names(&options.path))) {
            let reason = "files that are done may not move into the folder that they are read from";
            faults.push(Fault::new(Code::ConfigInvalidValue, reason).at_pointer("/done/move"));
        }
        match rows {
            Some(rows) if faults.is_empty() => {
                let (path, pattern) = (options.path.to_string(), options.pattern);
                let customer = pipeline.customer.to_owned();
                let (settle_for, max_bytes) = (options.settle_for.length(), pipeline.max_bytes);
                Ok(Arc::new(FileInput { customer, path, pattern, rows, done, settle_for, max_bytes }))
            }
            _ => Err(faults),
        }
    }
}

fn leads_out(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part == "..") || path.contains('\0')
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}

fn target(done: &Done) -> Option<&str> {
    match done {
        Done::Move { folder } => Some(folder),
        Done::Keep | Done::Delete => None,
    }
}

fn done(done: &FileDone) -> Done {
    match done {
        FileDone::Place(DoneWord::Keep) => Done::Keep,
        FileDone::Place(DoneWord::Delete) => Done::Delete,
        FileDone::Move(to) => Done::Move { folder: to.folder.to_string() },
    }
}

fn rows(format: &FileFormat) -> Result<Rows, Fault> {
    let csv = match format {
        FileFormat::Text(TextFormat::Whole) => return Ok(Rows::Whole),
        FileFormat::Text(TextFormat::Ndjson) => return Ok(Rows::Lines),
        FileFormat::Rows(rows) => &rows.csv,
    };
    let reader = Reader::new(&csv_options(csv)).map_err(|fault| {
        let option = fault.place().pointer.as_deref().unwrap_or_default().to_owned();
        fault.at_pointer(format!("/format/csv{}", option.strip_prefix("/csv").unwrap_or(&option)))
    })?;
    Ok(Rows::Csv(Arc::new(reader)))
}

fn csv_options(csv: &CsvRows) -> CsvOptions {
    CsvOptions {
        numbers: csv.numbers.iter().map(|column| column.to_string()).collect(),
        booleans: csv.booleans.iter().map(|column| column.to_string()).collect(),
        number_format: match csv.number_format {
            CsvNumbers::Json => NumberFormat::Json,
            CsvNumbers::XmlSchema => NumberFormat::XmlSchema,
        },
        ..csv.written().format()
    }
}

/// A folder, by its path below its customer's folder, and how its files are read.
#[derive(Debug)]
struct FileInput {
    customer: String,
    path: String,
    pattern: String,
    rows: Rows,
    done: Done,
    settle_for: Duration,
    max_bytes: usize,
}

impl SourceSpec for FileInput {
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn describe(&self) -> String {
        format!("{}/{}", self.path.trim_end_matches('/'), self.pattern)
    }

    fn claim(&self) -> Option<Claim> {
        let FileInput { customer, path, pattern, .. } = self;
        let root = if path.starts_with('/') { "/".to_owned() } else { format!("{customer}/") };
        let folder = format!("{root}{}", names(path).collect::<Vec<_>>().join("/"));
        let what = format!("the files {}/{pattern}", folder.trim_end_matches('/'));
        Some(Claim { what, option: "path", files: Some(ClaimedFiles { folder, pattern: pattern.clone() }) })
    }

    fn reads_file(&self, path: &str) -> bool {
        let mut folder: Vec<&str> = names(path).collect();
        let Some(name) = folder.pop() else { return false };
        path.starts_with('/') == self.path.starts_with('/')
            && names(&self.path).eq(folder)
            && pattern(&self.pattern).is_ok_and(|pattern| takes(&pattern, name))
    }

    fn attach(&self) -> Attach<'_> {
        Attach::Task(self)
    }

    fn check(&self, _: &dyn Secrets) -> Result<(), Fault> {
        Ok(())
    }
}

impl SourceTask for FileInput {
    fn open(&self, _: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Source>, Fault> {
        Ok(Rc::new(FileSource::new(SourceOptions {
            base: host.files.to_owned(),
            customer: host.customer.to_owned(),
            path: self.path.clone(),
            allow_absolute: host.absolute_files,
            pattern: self.pattern.clone(),
            state: source_state(host),
            rows: self.rows.clone(),
            done: self.done.clone(),
            settle_for: self.settle_for,
            poll: POLL,
            limits: Limits { bytes: self.max_bytes, ..Limits::default() },
            fence: host.fence.clone(),
            max_messages: MAX_MESSAGES,
            max_bytes: MAX_BYTES,
        })?))
    }

    /// Two would read every file twice.
    fn is_shared(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_its_folder_and_pattern_is_one_that_it_reads() {
        let input = |path: &str| FileInput {
            customer: "acme".to_owned(),
            path: path.to_owned(),
            pattern: "*.ndjson".to_owned(),
            rows: Rows::Lines,
            done: Done::Keep,
            settle_for: Duration::ZERO,
            max_bytes: 1,
        };
        for path in ["a/b", "./a//b/"] {
            let reads = |file| input(path).reads_file(file);
            assert!(reads("a/b/x.ndjson") && reads("a/./b//x.ndjson"));
            for other in ["a/b/x.csv", "a/b/.x.ndjson", "a/x.ndjson", "a/b/c/x.ndjson", "/a/b/x.ndjson", ".", ""] {
                assert!(!reads(other), "{other}");
            }
        }
        assert!(input(".").reads_file("x.ndjson") && input("/a").reads_file("/a/x.ndjson"));
    }
}
