//! What one pipeline of a node has alone: the address that it listens on, the durable that it reads by.

use std::collections::{BTreeMap, BTreeSet};

use connectors::kind::Claim;
use message::{Code, Fault};

use super::Key;
use crate::compile::Pipeline;

/// By what claims have in common that may meet.
#[derive(Default)]
pub struct Claims(BTreeMap<String, BTreeMap<Key, Claim>>);

impl Claims {
    /// Whether nobody else has what a pipeline wants. Those who are `leaving` give up theirs.
    ///
    /// # Errors
    /// `config/conflict`, which names who has it.
    pub fn check(&self, key: &Key, pipeline: &Pipeline, leaving: &BTreeSet<Key>) -> Result<(), Fault> {
        let Some(claim) = pipeline.input().claim() else { return Ok(()) };
        let is_other = |holder: &Key| holder != key && !leaving.contains(holder);
        let group = self.0.get(claim.group());
        match group.into_iter().flatten().find(|(holder, held)| is_other(holder) && held.meets(&claim)) {
            Some(((customer, other), held)) => {
                let pointer = format!("/in/{}/{}", pipeline.file().input.connector().kind, claim.option);
                let reason = format!("{} is that of {customer}/{other} already", held.what);
                Err(Fault::new(Code::ConfigConflict, reason).at_pointer(pointer))
            }
            None => Ok(()),
        }
    }

    pub fn put(&mut self, key: &Key, pipeline: &Pipeline) {
        if let Some(claim) = pipeline.input().claim() {
            self.0.entry(claim.group().to_owned()).or_default().insert(key.clone(), claim);
        }
    }

    pub fn take(&mut self, pipeline: &Pipeline) {
        if let Some(claim) = pipeline.input().claim() {
            let key = (pipeline.customer().into(), pipeline.name().into());
            let Some(group) = self.0.get_mut(claim.group()) else { return };
            group.remove(&key);
            if group.is_empty() {
                self.0.remove(claim.group());
            }
        }
    }
}
