//! The work on one large payload: on the thread, without the shard.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use message::{Document, Fault};

use super::super::handover::Way;
use super::super::run::parse;
use crate::compile::Pipeline;
use crate::engine::message::OwnedMessage;
use crate::fan_out::{FanOut, NextScript, PartPath, Run, Source, Trace};
use crate::process::Snapshots;

/// What is wanted of a payload.
pub enum Wanted {
    /// Its steps, up to the first script. `fan_out`: what the runs of steps before have made of it.
    Steps { cut: Option<usize>, way: Option<Way>, fan_out: Option<Bytes> },
    /// The URL of this out.
    Address(usize),
}

impl Wanted {
    /// What it holds beside the payload.
    pub fn bytes(&self) -> usize {
        if let Wanted::Steps { fan_out: Some(fan_out), .. } = self { fan_out.len() } else { 0 }
    }
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
    /// What it has become so far, and what goes on with a script.
    Steps(FanOut, Vec<NextScript>),
    Address(Option<String>),
}

pub fn work(job: &Job) -> Result<Worked, Fault> {
    let mut document = Document::default();
    let (pipeline, message) = (&job.pipeline, &job.message);
    match &job.wanted {
        Wanted::Steps { cut, fan_out, .. } => steps(job, *cut, fan_out.as_deref(), document),
        Wanted::Address(target) => {
            pipeline.parse_output(&message.payload, &message.content_type, &mut document)?;
            let out = pipeline.outs().get(*target);
            out.map_or(Ok(None), |out| out.address(&document)).map(Worked::Address)
        }
    }
}

fn steps(job: &Job, cut: Option<usize>, handed: Option<&[u8]>, document: Document) -> Result<Worked, Fault> {
    match job.seen.borrow_mut().as_mut() {
        None => traced(job, cut, handed, document, &mut ()),
        Some(seen) => traced(job, cut, handed, document, seen),
    }
}

fn traced(
    job: &Job,
    cut: Option<usize>,
    handed: Option<&[u8]>,
    mut document: Document,
    trace: &mut impl Trace,
) -> Result<Worked, Fault> {
    let Job { pipeline, message, .. } = job;
    let (mut fan_out, mut next) = (FanOut::default(), Vec::new());
    let resume = message.resume.as_deref();
    let run = Run { pipeline, context: message.context(pipeline), cut };
    let resumed = resume.map(|label| pipeline.stage_of(label).unwrap_or_default());
    let source = Source { bytes: &message.payload, content_type: &message.content_type, resumed };
    if let Some(handed) = handed {
        fan_out.read(handed)?;
        fan_out.go_on(&run, &source, &mut document, &mut next, trace)?;
    } else {
        let stage = parse(pipeline, resume, &message.payload, &message.content_type, &mut document)?;
        if let Some(stage) = fan_out.begin(&run, stage, &mut document, trace)? {
            let document = std::mem::take(&mut document);
            next.push(NextScript { path: PartPath::default(), stage, document });
        }
    }
    // What is too large for a lane goes on here, and not on the shard's thread.
    let bytes = message.payload.len() + message.headers.len() + fan_out.handover_bytes();
    if next.is_empty() && fan_out.has_onward() && cut.is_some_and(|most| bytes > most) {
        fan_out.go_on_here();
        fan_out.go_on(&run, &source, &mut document, &mut next, trace)?;
    }
    fan_out.sort();
    Ok(Worked::Steps(fan_out, next))
}
