//! The work on one large payload: on the thread, without the shard.

use std::sync::Arc;

use bytes::Bytes;
use message::{Document, Fault};

use super::super::kept::Kept;
use super::super::logic::Part;
use crate::compile::{Pipeline, Progress};

/// What is wanted of a payload.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// The pipeline's steps, from the first one on.
    Steps,
    /// The URL of this out.
    Url(usize),
}

/// One payload, and what the thread has to know of its message.
pub struct Job {
    pub token: u64,
    pub wanted: Wanted,
    pub pipeline: Arc<Pipeline>,
    pub payload: Bytes,
    pub kept: Kept,
}

/// How far the thread came.
pub enum Worked {
    /// To its outs; with what stands for the arena.
    Through(Part, Vec<u8>),
    Script(usize, Document),
    Dropped(usize),
    Url(Option<String>),
}

pub fn work(job: &Job) -> Result<Worked, Fault> {
    let mut document = Document::default();
    match job.wanted {
        Wanted::Steps => steps(job, document),
        Wanted::Url(target) => {
            job.pipeline.parse_output(&job.payload, &job.kept.content_type, &mut document)?;
            job.pipeline.outs()[target].url(&document).map(Worked::Url)
        }
    }
}

fn steps(job: &Job, mut document: Document) -> Result<Worked, Fault> {
    let pipeline = &job.pipeline;
    pipeline.parse(&job.payload, &job.kept.content_type, &mut document)?;
    match pipeline.advance(0, &mut document, &job.kept.context(pipeline)) {
        Progress::Script { stage } => Ok(Worked::Script(stage, document)),
        Progress::Dropped { stage } => Ok(Worked::Dropped(stage)),
        Progress::Failed(fault) => Err(fault),
        Progress::Done(outs) => {
            let mut bytes = Vec::new();
            let part = Part::render(pipeline, &document, outs, 0, pipeline.limits().output_bytes, &mut bytes)?;
            Ok(Worked::Through(part, bytes))
        }
    }
}
