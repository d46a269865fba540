//! What one pipeline of a node has alone: the path that it listens on, the durable that it reads by.

use std::collections::{BTreeMap, BTreeSet};

use message::{Code, Fault};

use super::Key;
use crate::compile::Pipeline;

#[derive(Default)]
pub struct Claims {
    /// Which pipeline of a customer listens on a path.
    paths: BTreeMap<Key, Box<str>>,
    /// Which pipeline reads a stream by a durable.
    durables: BTreeMap<Key, Key>,
}

impl Claims {
    /// Whether nobody else has what a pipeline wants. Those who are `leaving` give up theirs.
    ///
    /// # Errors
    /// `config/conflict`, which names who has it.
    pub fn check(&self, key: &Key, pipeline: &Pipeline, leaving: &BTreeSet<Key>) -> Result<(), Fault> {
        self.check_path(key, pipeline, leaving)?;
        self.check_durable(key, pipeline, leaving)
    }

    /// Two pipelines of a customer cannot listen on the same path.
    fn check_path(&self, key: &Key, pipeline: &Pipeline, leaving: &BTreeSet<Key>) -> Result<(), Fault> {
        let Some(path) = pipeline.http_path() else { return Ok(()) };
        let holder = self.paths.get(&(key.0.clone(), path.into())).map(|name| (key.0.clone(), name.clone()));
        match holder.filter(|holder| holder != key && !leaving.contains(holder)) {
            Some((_, other)) => {
                let reason = format!("pipeline `{other}` already listens on {path}");
                Err(Fault::new(Code::ConfigConflict, reason).at_pointer("/in/http/path"))
            }
            None => Ok(()),
        }
    }

    /// Two pipelines on one durable consumer would each get a part of the other's messages.
    fn check_durable(&self, key: &Key, pipeline: &Pipeline, leaving: &BTreeSet<Key>) -> Result<(), Fault> {
        let Some((stream, durable)) = pipeline.input().consumer() else { return Ok(()) };
        let holder = self.durables.get(&(stream.into(), durable.into()));
        match holder.filter(|holder| *holder != key && !leaving.contains(*holder)) {
            Some((customer, pipeline)) => {
                let reason =
                    format!("{customer}/{pipeline} already reads the stream {stream} by the durable {durable}");
                Err(Fault::new(Code::ConfigConflict, reason).at_pointer("/in/nats/durable"))
            }
            None => Ok(()),
        }
    }

    pub fn put(&mut self, key: &Key, pipeline: &Pipeline) {
        if let Some((stream, durable)) = pipeline.input().consumer() {
            self.durables.insert((stream.into(), durable.into()), key.clone());
        }
        if let Some(path) = pipeline.http_path() {
            self.paths.insert((key.0.clone(), path.into()), key.1.clone());
        }
    }

    pub fn take(&mut self, key: &Key, pipeline: &Pipeline) {
        if let Some(path) = pipeline.http_path() {
            self.paths.remove(&(key.0.clone(), path.into()));
        }
        if let Some((stream, durable)) = pipeline.input().consumer() {
            self.durables.remove(&(stream.into(), durable.into()));
        }
    }
}
