//! From the options of a file out to its sink.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use message::{Code, Fault};
use serde_json::Value;

use super::{FileOptions, FileSink};
use crate::contract::Sink;
use crate::file::options::FileOut;
use crate::kind::{Described, Host, Policy, Route, Secrets, SinkKind, SinkSpec, typed};

pub struct FileSinkKind;

impl Described for FileSinkKind {
    type Options = FileOut;
    const NAME: &'static str = "file";
    const SUMMARY: &'static str = "A line in a file.";
    const EXAMPLE: &'static str = include_str!("../example_out.yaml");
    const CHECKED: &'static str = "That the file can be written where it is. Nothing is made.";
}

impl SinkKind for FileSinkKind {
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
        let options: FileOut = typed(options)?;
        let leads_out = options.path.split(['/', '\\']).any(|part| part == "..") || options.path.contains('\0');
        if leads_out {
            let shown = options.path.replace('\0', " ");
            let fault =
                Fault::new(Code::ConfigFileOutside, format!("the path `{shown}` leads out of the folder for files"));
            return Err(vec![fault.at_pointer("/path")]);
        }
        Ok(Arc::new(FileTarget { path: options.path }))
    }
}

/// A file, by its path below its customer's folder.
#[derive(Debug)]
struct FileTarget {
    path: String,
}

impl FileTarget {
    fn options(&self, host: &Host<'_>) -> FileOptions {
        FileOptions {
            base: host.files.to_owned(),
            customer: host.customer.to_owned(),
            path: self.path.clone(),
            allow_absolute: host.absolute_files,
        }
    }
}

impl SinkSpec for FileTarget {
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn describe(&self) -> String {
        self.path.clone()
    }

    fn file(&self) -> Option<&str> {
        Some(&self.path)
    }

    fn route(&self) -> Route<'_> {
        Route::Lane
    }

    fn policy(&self) -> Policy {
        Policy::LINES
    }

    fn check(&self, _: &dyn Secrets, host: &Host<'_>) -> Result<(), Fault> {
        FileSink::new(&self.options(host)).map(drop).map_err(|fault| fault.at_pointer("/path"))
    }

    fn open(&self, _: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        Ok(Rc::new(FileSink::new(&self.options(host))?))
    }
}

impl Policy {
    /// Of a sink that takes lines: many with one write and one sync, in order. It comes back when there is space again;
    /// until then its messages wait.
    pub const LINES: Policy =
        Policy { batch: 512, workers: 1, retry_for: Duration::from_secs(3_600), timeout: Duration::from_secs(30) };
}
