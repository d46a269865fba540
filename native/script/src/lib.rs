//! Customers' scripts: `export default (msg, ctx) => msg | [msg, ...] | null`.
//!
//! ```text
//! net.ts ──► strip/ ──────────► JavaScript, types blanked in place ──► runtime/bytecode ──► Program
//!            caps, parse, blank                                                              │ Arc
//! Document ─► Task ─► executor/ (queue, thread, one runtime a customer) ─► runtime/ ─► Done ─┘
//!             submit    │ batch by batch                                   read, call, write
//!             completed ◄┘ and one wake-up for each batch
//! ```
//!
//! A document moves into a task and comes back in its `Done`, with the roots of what the script
//! returned; no JSON text is made in between. A throw, a wrong return or an exceeded limit fails
//! that one message. After a time-out or a refused allocation the customer's runtime is thrown away
//! and built anew for the next message.
//!
//! **What the limits do not stop.** The engine asks the guard at every 10,000th jump or call, and in
//! regular expressions and sorts. A single call of some built-ins on a very large value does not ask:
//! `indexOf` and `includes` of a long string in a long one, conversions of huge bigints to text,
//! `replace` over many megabytes, `JSON.stringify` and `JSON.parse` of large values, `join` and
//! `indexOf` on sparse arrays of 4 billion elements. They end by themselves, and are caught as a
//! time-out at the next poll, but until then they hold their executor. Worker processes, which can
//! be killed, are what ends them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod executor;
mod program;
mod runtime;
mod strip;

pub use executor::{Done, Executor, Keep, Runner, Task, TaskContext, ThreadExecutor, ThreadOptions};
pub use program::{Language, Program, compile, strip_types};
