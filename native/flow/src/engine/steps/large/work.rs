//! The work on one large payload: on the thread, without the shard.

use std::cell::RefCell;
use std::sync::Arc;

use message::{Document, Fault};

use super::super::run::parse;
use crate::compile::Pipeline;
use crate::engine::message::OwnedMessage;
use crate::fan_out::{FanOut, Run};
use crate::process::Snapshots;

/// What is wanted of a payload.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// Its steps, up to the first script.
    Steps,
    /// The URL of this out.
    Address(usize),
}

/// One payload, and what the thread has to know of its message.
pub struct Job {
    pub token: u64,
    pub wanted: Wanted,
    pub pipeline: Arc<Pipeline>,
    /// With its payload.
    pub message: OwnedMessage,
    /// Watches the steps, where somebody does.
    pub seen: RefCell<Option<Snapshots>>,
}

/// How far the thread came.
pub enum Worked {
    Through(FanOut),
    Script(usize, Document),
    Address(Option<String>),
}

pub fn work(job: &Job) -> Result<Worked, Fault> {
    let mut document = Document::default();
    let (pipeline, message) = (&job.pipeline, &job.message);
    match job.wanted {
        Wanted::Steps => steps(job, document),
        Wanted::Address(target) => {
            pipeline.parse_output(&message.payload, &message.content_type, &mut document)?;
            let out = pipeline.outs().get(target);
            out.map_or(Ok(None), |out| out.address(&document)).map(Worked::Address)
        }
    }
}

fn steps(job: &Job, mut document: Document) -> Result<Worked, Fault> {
    let Job { pipeline, message, .. } = job;
    let resume = message.resume.as_deref();
    let stage = parse(pipeline, resume, &message.payload, &message.content_type, &mut document)?;
    let mut fan_out = FanOut::default();
    let run = Run { pipeline, context: message.context(pipeline) };
    let script = match job.seen.borrow_mut().as_mut() {
        None => fan_out.begin(&run, stage, &mut document, &mut ())?,
        Some(seen) => fan_out.begin(&run, stage, &mut document, seen)?,
    };
    Ok(match script {
        Some(stage) => Worked::Script(stage, document),
        None => Worked::Through(fan_out),
    })
}
