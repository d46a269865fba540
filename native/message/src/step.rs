//! The contract of a step: one message in, a verdict out.

use crate::{Document, Fault, Headers, Limits};

/// What a step decides about the message it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on to the next step, possibly edited.
    Pass,
    /// Filtered out: counted, acked, gone.
    Drop,
    /// Goes to these outs; no step follows.
    Route(Outs),
}

/// A set of outs by their position in the pipeline file; at most 64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outs(pub u64);

impl Outs {
    pub const MAX: usize = 64;

    #[must_use]
    pub fn one(out: usize) -> Outs {
        Outs(1 << out)
    }

    #[must_use]
    pub fn with(self, out: usize) -> Outs {
        Outs(self.0 | 1 << out)
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        // The lowest bit is the next out, and is taken away.
        let rest = |bits: &u64| Some(bits & (bits - 1)).filter(|bits| *bits != 0);
        std::iter::successors(Some(self.0).filter(|bits| *bits != 0), rest).map(|bits| bits.trailing_zeros() as usize)
    }
}

/// What is known of a message besides its payload: the variables `headers` and `meta`, and `ctx`.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub id: &'a str,
    pub customer: &'a str,
    pub pipeline: &'a str,
    pub revision: &'a str,
    /// When it was accepted, milliseconds since the Unix epoch.
    pub time_ms: u64,
    pub headers: Headers<'a>,
}

/// One message on its way through the steps.
pub struct Work<'a, 'c> {
    pub document: &'a mut Document,
    pub context: Context<'c>,
    pub limits: &'a Limits,
}

/// A step that decides on the spot. Scripts do not: they go through their executor.
///
/// Called on a shard's thread, once per message; must not block, sleep or panic. An `Err` fails
/// that one message: it goes to the dead letters under the fault's code.
pub trait Step: Send + Sync {
    /// The step's word in the pipeline file: `filter`, `set`, ...
    fn name(&self) -> &'static str;

    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault>;
}
