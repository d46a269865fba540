//! Parts that have come to the end of a run of steps, and go on where the next run is served.
//!
//! A part waits here as what the next step has to have of it, whoever runs that: its place among the results of scripts,
//! and its document, as a tree. A whole message of which no value was changed is read again from its own bytes.

use message::packed::{Unpack, put_bytes, put_number};
use message::{Code, Document, Fault};

use super::{FanOut, NextScript, PartPath, Run, Trace};

/// What the parts of an input were made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub bytes: &'a [u8],
    pub content_type: &'a str,
    /// Of a part that was sent again from the dead letters: the stage where it began.
    pub resumed: Option<usize>,
}

#[derive(Clone, Debug)]
struct Onward {
    path: PartPath,
    /// Whether other parts have the same document, so that it takes a document of its own along to a script.
    is_shared: bool,
    /// Where its tree begins; `None` for the whole message, as it was read.
    tree: Option<usize>,
}

/// The parts of one input that go on, all of them at the same stage.
#[derive(Debug, Default)]
pub(super) struct Onwards {
    stage: usize,
    parts: Vec<Onward>,
    trees: Vec<u8>,
    /// The input is more than can be handed over: all of its steps are run here.
    goes_on_here: bool,
}

const MAX_KEPT_BYTES: usize = 1 << 20;

impl Onwards {
    /// Adds a part; `false` where it has to go on here.
    pub fn add(
        &mut self,
        most: Option<usize>,
        (path, stage): (&PartPath, usize),
        is_shared: bool,
        document: &Document,
    ) -> bool {
        let Some(most) = most.filter(|_| !self.goes_on_here) else { return false };
        self.stage = stage;
        let start = self.trees.len();
        let tree = (!path.is_whole() || !document.is_as_read()).then_some(start);
        if tree.is_some() {
            document.write_tree(&mut self.trees);
        }
        if self.trees.len() > most {
            self.trees.truncate(start);
            self.goes_on_here = true;
            return false;
        }
        self.parts.push(Onward { path: path.clone(), is_shared, tree });
        true
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn stage(&self) -> usize {
        self.stage
    }

    pub fn goes_on_here(&self) -> bool {
        self.goes_on_here
    }

    pub fn held_bytes(&self) -> usize {
        self.trees.capacity()
    }

    pub fn clear(&mut self) {
        self.parts.clear();
        self.trees.clear();
        self.trees.shrink_to(MAX_KEPT_BYTES);
        self.goes_on_here = false;
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        put_number(out, self.stage as u64);
        put_number(out, self.parts.len() as u64);
        for Onward { path, is_shared, tree } in &self.parts {
            path.write(out);
            out.push(u8::from(*is_shared));
            put_number(out, tree.map_or(0, |start| start as u64 + 1));
        }
        put_bytes(out, &self.trees);
    }

    pub fn read(&mut self, from: &mut Unpack<'_>) -> Option<()> {
        self.stage = from.size()?;
        for _ in 0..from.size()? {
            let (path, is_shared) = (PartPath::read(from)?, from.byte()? != 0);
            let tree = from.size()?.checked_sub(1);
            self.parts.push(Onward { path, is_shared, tree });
        }
        self.trees.extend_from_slice(from.bytes()?);
        Some(())
    }
}

impl FanOut {
    /// Where the run ends to which a stage belongs, as far as it is cut there.
    #[inline]
    pub(super) fn run_end(&self, run: &Run<'_>, stage: usize) -> usize {
        match run.cut {
            Some(_) if !self.onward.goes_on_here() => run.pipeline.run_end(stage),
            _ => usize::MAX,
        }
    }

    /// Whether parts wait for the next run of steps.
    #[must_use]
    pub fn has_onward(&self) -> bool {
        !self.onward.is_empty()
    }

    /// Where they go on.
    #[must_use]
    pub fn onward_stage(&self) -> usize {
        self.onward.stage()
    }

    /// Becomes that of a message whose steps begin elsewhere. Nothing is in it yet.
    pub fn begin_elsewhere(&mut self) {
        self.onward.add(Some(0), (&PartPath::default(), 0), false, &Document::default());
    }

    /// How many bytes are handed over beside what came, about.
    #[must_use]
    pub fn handover_bytes(&self) -> usize {
        const A_LEAF: usize = 512;
        self.bytes.len() + self.onward.trees.len() + (self.leaves.len() + self.onward.parts.len() + 1) * A_LEAF
    }

    /// From now on the steps of the input are run here, all of them.
    pub fn go_on_here(&mut self) {
        self.onward.goes_on_here = true;
    }

    /// Goes on with the parts that wait for the next run of steps, to its end. What needs a script is added to `next`.
    /// `document` is used, and of no use afterwards.
    ///
    /// # Errors
    /// The input is over its limits; `deliver/bad-handover`.
    pub fn go_on(
        &mut self,
        run: &Run<'_>,
        source: &Source<'_>,
        document: &mut Document,
        next: &mut Vec<NextScript>,
        trace: &mut impl Trace,
    ) -> Result<(), Fault> {
        let goes_on_here = self.onward.goes_on_here();
        let Onwards { stage, parts, trees, .. } = std::mem::take(&mut self.onward);
        self.onward.goes_on_here = goes_on_here;
        let run_end = self.run_end(run, stage);
        for Onward { path, is_shared, tree } in parts {
            read(run, stage, source, tree.map(|start| trees.get(start..)), document)?;
            let passed = self.go_on_with(run, (path, is_shared), (stage, run_end), source, document, trace);
            let script = passed.map_err(|fault| fault.in_step(last_script(run, stage, source.resumed)))?;
            next.extend(script);
        }
        Ok(())
    }

    fn go_on_with(
        &mut self,
        run: &Run<'_>,
        (path, is_shared): (PartPath, bool),
        stages: (usize, usize),
        source: &Source<'_>,
        document: &mut Document,
        trace: &mut impl Trace,
    ) -> Result<Option<NextScript>, Fault> {
        let Some(stage) = self.advance(run, &path, stages, is_shared, document, trace)? else { return Ok(None) };
        if self.source.is_none() {
            self.source = Some(source.bytes.into());
        }
        let document = if is_shared { self.detach(run, document)? } else { std::mem::take(document) };
        Ok(Some(NextScript { path, stage, document }))
    }
}

/// What an input that is over its limits fails at: the last script before `stage`, as where no run ends in between.
fn last_script<'r>(run: &'r Run<'_>, stage: usize, resumed: Option<usize>) -> &'r str {
    let passed = (resumed.unwrap_or(0)..stage).rev();
    let script = passed.into_iter().find(|stage| run.pipeline.program(*stage).is_some());
    script.map_or("in", |stage| run.pipeline.stage_label(stage))
}

/// The outer option: `None` for a message that is read again from its own bytes.
#[allow(clippy::option_option)]
fn read(
    run: &Run<'_>,
    stage: usize,
    source: &Source<'_>,
    tree: Option<Option<&[u8]>>,
    document: &mut Document,
) -> Result<(), Fault> {
    let Some(tree) = tree else {
        let payload = (source.bytes, source.content_type, source.resumed.is_some());
        return run.pipeline.parse_again(stage, payload, document);
    };
    let read = tree.and_then(|tree| document.read_tree(source.bytes, &mut Unpack(tree)));
    read.ok_or_else(bad)
}

/// What was handed over cannot be read.
#[cold]
pub(super) fn bad() -> Fault {
    Fault::new(Code::DeliverBadHandover, "what another node has handed over cannot be read")
}
