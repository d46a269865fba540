//! The same steps, with somebody who may watch this message. Apart from the others, which pay nothing for it.

use message::{Document, Fault};
use script::Said;

use crate::engine::message::Envelope;
use crate::engine::settlement::Settlement;
use crate::fan_out::{FanOut, NextScript, PartPath, Run, Source, Trace};
use crate::process::Snapshots;

/// [`FanOut::begin`]
#[cold]
pub(super) fn begin(
    settlement: &mut Settlement,
    (envelope, mut seen): (&Envelope<'_>, Snapshots),
    fan_out: &mut FanOut,
    run: &Run<'_>,
    stage: usize,
    document: &mut Document,
) -> Result<Option<usize>, Fault> {
    let begun = fan_out.begin(run, stage, document, &mut seen);
    settlement.tap_steps(envelope, seen);
    begun
}

/// What a script has made of a message, or of a part of one.
pub(super) struct Made<'a> {
    pub at: (&'a PartPath, usize),
    pub document: &'a mut Document,
    pub outcome: Result<Vec<u32>, Fault>,
    pub said: &'a Said,
}

/// [`FanOut::on_script`]
#[cold]
pub(super) fn on_script(
    settlement: &mut Settlement,
    (envelope, mut seen): (&Envelope<'_>, Snapshots),
    fan_out: &mut FanOut,
    run: &Run<'_>,
    made: Made<'_>,
    next: &mut Vec<NextScript>,
) -> Result<(), Fault> {
    let Made { at, document, outcome, said } = made;
    if !said.is_empty() {
        seen.on_said(run, at.0, at.1, said);
    }
    let collected = fan_out.on_script(run, at, document, outcome, next, &mut seen);
    settlement.tap_steps(envelope, seen);
    collected
}

/// [`FanOut::go_on`]
#[cold]
pub(super) fn go_on(
    settlement: &mut Settlement,
    (envelope, mut seen): (&Envelope<'_>, Snapshots),
    fan_out: &mut FanOut,
    run: &Run<'_>,
    source: &Source<'_>,
    (document, next): (&mut Document, &mut Vec<NextScript>),
) -> Result<(), Fault> {
    let passed = fan_out.go_on(run, source, document, next, &mut seen);
    settlement.tap_steps(envelope, seen);
    passed
}
