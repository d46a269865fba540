//! What one pipeline of a node has alone: the address that it listens on, the durable that it reads by.

use std::collections::{BTreeMap, BTreeSet};

use message::{Code, Fault};

use super::Key;
use crate::compile::Pipeline;

#[derive(Default)]
pub struct Claims(BTreeMap<String, Key>);

impl Claims {
    /// Whether nobody else has what a pipeline wants. Those who are `leaving` give up theirs.
    ///
    /// # Errors
    /// `config/conflict`, which names who has it.
    pub fn check(&self, key: &Key, pipeline: &Pipeline, leaving: &BTreeSet<Key>) -> Result<(), Fault> {
        let Some(claim) = pipeline.input().claim() else { return Ok(()) };
        match self.0.get(&claim.what).filter(|holder| *holder != key && !leaving.contains(*holder)) {
            Some((customer, other)) => {
                let pointer = format!("/in/{}/{}", pipeline.file().input.connector().kind, claim.option);
                let reason = format!("{} is that of {customer}/{other} already", claim.what);
                Err(Fault::new(Code::ConfigConflict, reason).at_pointer(pointer))
            }
            None => Ok(()),
        }
    }

    pub fn put(&mut self, key: &Key, pipeline: &Pipeline) {
        if let Some(claim) = pipeline.input().claim() {
            self.0.insert(claim.what, key.clone());
        }
    }

    pub fn take(&mut self, pipeline: &Pipeline) {
        if let Some(claim) = pipeline.input().claim() {
            self.0.remove(&claim.what);
        }
    }
}
