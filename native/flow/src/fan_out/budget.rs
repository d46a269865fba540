//! The totals of what one input may become, through all of its scripts.
//!
//! | | counts | above it |
//! |---|---|---|
//! | `limits.outputs` | outputs and failed parts; drops do not count | `deliver/too-many-outputs` |
//! | `limits.outputs` | results of one call of a script | `script/too-many-outputs` |
//! | `limits.output_bytes` | what is rendered: outputs and failed parts; not a source that is forwarded as it came | `deliver/too-many-outputs` |
//! | [`MAX_RESULTS`] times `limits.outputs` | results of all calls, those included that are dropped later | `deliver/too-many-outputs` |
//! | [`OutputBudget::room`] | bytes of all parts that wait for another script | `deliver/too-many-outputs` |
//!
//! All are sums that only grow, so that an input is over its limits or not, whatever order scripts finish in.

use message::packed::{Unpack, put_number};
use message::{Code, Fault, Limits, Node};

/// Results of all scripts together, for each output that is allowed.
const MAX_RESULTS: usize = 32;

/// What an input has become so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputBudget {
    messages: usize,
    bytes: usize,
    results: usize,
    waiting: usize,
}

impl OutputBudget {
    /// A script has made this many messages of one.
    ///
    /// # Errors
    /// The input is over its limits.
    pub fn on_results(&mut self, limits: &Limits, results: usize) -> Result<(), Fault> {
        if results > limits.outputs {
            let reason = format!("{results} messages, {} are allowed", limits.outputs);
            return Err(Fault::new(Code::ScriptTooManyOutputs, reason));
        }
        // One message that passes script after script is not split.
        if results > 1 {
            self.results += results;
        }
        let most = limits.outputs.saturating_mul(MAX_RESULTS);
        if self.results > most {
            return Err(over(most, "results of scripts"));
        }
        Ok(())
    }

    /// One more output, or failed part, of so many bytes.
    ///
    /// # Errors
    /// The input is over its limits.
    #[inline]
    pub fn on_message(&mut self, limits: &Limits, bytes: usize) -> Result<(), Fault> {
        self.messages += 1;
        self.bytes += bytes;
        if self.messages > limits.outputs {
            return Err(over(limits.outputs, "messages"));
        }
        if self.bytes > limits.output_bytes {
            return Err(over(limits.output_bytes, "bytes of output"));
        }
        Ok(())
    }

    /// Appends it, for [`OutputBudget::read`].
    pub fn write(&self, out: &mut Vec<u8>) {
        [self.messages, self.bytes, self.results, self.waiting].iter().for_each(|sum| put_number(out, *sum as u64));
    }

    pub fn read(from: &mut Unpack<'_>) -> Option<OutputBudget> {
        let (messages, bytes, results, waiting) = (from.size()?, from.size()?, from.size()?, from.size()?);
        Some(OutputBudget { messages, bytes, results, waiting })
    }

    /// A part waits for another script.
    pub fn on_waiting(&mut self, bytes: usize) {
        self.waiting += bytes;
    }

    /// Bytes that another part may take along to the next script: all together as much text as may go out, on as
    /// large a tape as may come in.
    #[must_use]
    pub fn room(&self, limits: &Limits) -> usize {
        let most = limits.output_bytes.saturating_add(limits.nodes.saturating_mul(size_of::<Node>()));
        most.saturating_sub(self.waiting)
    }
}

#[cold]
fn over(limit: usize, what: &str) -> Fault {
    Fault::new(Code::DeliverTooManyOutputs, format!("more than {limit} {what}"))
}
