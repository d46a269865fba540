//! What is kept of a message while its document or payload is elsewhere: with a script, or with the
//! thread for large payloads.

use std::rc::Rc;

use message::{Context, Headers};

use super::core::Envelope;
use super::install::Installed;
use super::publish::Parent;
use crate::compile::Pipeline;

/// An envelope's own copies. May go to another thread.
pub struct Kept {
    id: Box<str>,
    /// Where it is not the id.
    root: Option<Box<str>>,
    headers: Box<[u8]>,
    pub content_type: Box<str>,
    time_ms: u64,
}

impl Kept {
    pub fn of(envelope: &Envelope<'_>) -> Kept {
        Kept {
            id: envelope.id.into(),
            root: (envelope.root != envelope.id).then(|| envelope.root.into()),
            headers: envelope.headers.block().into(),
            content_type: envelope.content_type.into(),
            time_ms: envelope.time_ms,
        }
    }

    pub fn envelope<'a>(&'a self, installed: &'a Rc<Installed>, parent: Parent) -> Envelope<'a> {
        Envelope {
            installed,
            parent,
            id: &self.id,
            root: self.root.as_deref().unwrap_or(&self.id),
            headers: Headers::new(&self.headers),
            content_type: &self.content_type,
            time_ms: self.time_ms,
        }
    }

    /// What expressions see of it beside its payload.
    pub fn context<'a>(&'a self, pipeline: &'a Pipeline) -> Context<'a> {
        super::logic::context(pipeline, &self.id, self.time_ms, Headers::new(&self.headers))
    }
}
