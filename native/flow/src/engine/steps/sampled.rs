//! How long steps take: measured for some messages, so that the others pay nothing for it.

use std::time::Duration;

use message::{Document, Outs, Verdict, Work};
use tokio::time::Instant;

use crate::compile::{Pipeline, Progress};
use crate::engine::observe::Meters;
use crate::fan_out::{PartPath, Run, Trace};

/// One message of so many is measured. Prime to the messages of a turn, whose first ones find a colder cache.
const EVERY: u32 = 61;

/// Chooses the messages that are measured.
#[derive(Default)]
pub(super) struct Sampler {
    passed: u32,
}

impl Sampler {
    /// When the next message began, if it is measured.
    #[inline]
    pub fn next(&mut self) -> Option<Instant> {
        self.passed += 1;
        if self.passed < EVERY {
            return None;
        }
        self.passed = 0;
        Some(Instant::now())
    }
}

/// Measures each step of one message.
pub(super) struct Timed<'a> {
    pub meters: &'a Meters,
    /// What its steps have taken together.
    pub steps: Duration,
}

impl Timed<'_> {
    fn note(&mut self, pipeline: &Pipeline, stage: usize, took: Duration) {
        self.steps += took;
        // A label is `3:filter`.
        if let Some((_, name)) = pipeline.stage_label(stage).split_once(':') {
            self.meters.step(name, took);
        }
    }
}

impl Trace for Timed<'_> {
    fn advance(
        &mut self,
        run: &Run<'_>,
        _: &PartPath,
        (from, until): (usize, usize),
        document: &mut Document,
    ) -> Progress {
        let pipeline = run.pipeline;
        for stage in from..=pipeline.stage_count() {
            if stage == until && stage < pipeline.stage_count() {
                return Progress::RunEnd { stage };
            }
            let work = &mut Work { document, context: run.context, limits: pipeline.limits() };
            let began = Instant::now();
            let applied = pipeline.apply(stage, work);
            if stage < pipeline.stage_count() && !matches!(applied, Ok(None)) {
                self.note(pipeline, stage, began.elapsed());
            }
            match applied {
                Ok(Some(Verdict::Pass)) => {}
                Ok(Some(Verdict::Drop)) => return Progress::Dropped { stage },
                Ok(Some(Verdict::Route(outs))) => return Progress::Done(outs),
                Ok(None) => return Progress::Script { stage },
                Err(fault) => return Progress::Failed(fault),
            }
        }
        Progress::Done(Outs::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_of_61_is_measured() {
        let mut sampler = Sampler::default();
        assert_eq!((0..61 * 5 + 7).filter(|_| sampler.next().is_some()).count(), 5);
    }
}
