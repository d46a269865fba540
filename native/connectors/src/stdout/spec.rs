//! From the options of a stdout out, of which there are none, to its sink.

use std::rc::Rc;
use std::sync::Arc;

use message::Fault;
use serde_json::Value;

use super::options::StdoutOut;
use super::sink::StdoutSink;
use crate::contract::Sink;
use crate::kind::{Described, Host, Policy, Route, Secrets, SinkKind, SinkSpec, typed};

pub struct StdoutSinkKind;

impl Described for StdoutSinkKind {
    type Options = StdoutOut;
    const NAME: &'static str = "stdout";
    const SUMMARY: &'static str = "A line on standard output.";
    const EXAMPLE: &'static str = include_str!("example_out.yaml");
    const CHECKED: &'static str = "Nothing: the process has it open.";
}

impl SinkKind for StdoutSinkKind {
    fn compile(&self, options: &Value) -> Result<Arc<dyn SinkSpec>, Vec<Fault>> {
        typed::<StdoutOut>(options).map(|_| Arc::new(Terminal) as Arc<dyn SinkSpec>)
    }
}

#[derive(Debug)]
struct Terminal;

impl SinkSpec for Terminal {
    fn secrets(&self) -> Vec<&str> {
        Vec::new()
    }

    fn describe(&self) -> String {
        "stdout".to_owned()
    }

    fn route(&self) -> Route<'_> {
        Route::Lane
    }

    fn policy(&self) -> Policy {
        Policy::LINES
    }

    fn check(&self, _: &dyn Secrets, _: &Host<'_>) -> Result<(), Fault> {
        Ok(())
    }

    fn open(&self, _: &dyn Secrets, _: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        Ok(Rc::new(StdoutSink::new()))
    }
}
