//! Customers' scripts: `export default (msg, ctx) => msg | [msg, ...] | null`.
//!
//! ```text
//! net.ts ──► strip/ ──────────► JavaScript, types blanked in place ──► runtime/bytecode ──► Program
//!            caps, parse, blank                                                              │ load
//! Document ─► Task, by ProgramId ─► executor/ (queue, thread, one runtime a customer) ◄──────┘
//!             submit                  │ in turns of customers ─► runtime/: read, call, write
//!             completed ◄── Done ─────┘ and one wake-up for each turn
//! ```
//!
//! A document moves into a task and comes back in its `Done`, with the roots of what the script
//! returned; no JSON text is made in between. A throw, a wrong return or an exceeded limit fails
//! that one message. After a time-out or a refused allocation the customer's runtime is thrown away
//! and built anew for the next message.
//!
//! **What the limits do not stop.** The engine asks the guard at every 10,000th jump or call and in
//! regular expressions, the allocator at every block from 1 KiB on. A single call of some built-ins on
//! a very large value does neither for long:
//! - searching a long text in a long text (`indexOf`): with 100 KB and 50 KB for seconds to minutes;
//! - `join`, `reverse`, `includes` on arrays whose `length` was set to billions: for minutes;
//! - sorting hundreds of thousands of elements without a comparison function, or a typed array;
//! - turning bigints of 100,000 digits into text or back: about a second;
//! - `toUpperCase`, `normalize`, `encodeURIComponent`, `JSON.stringify`, `JSON.parse`, `padEnd` on
//!   megabytes: fractions of a second.
//!
//! They end by themselves and are then a time-out, but until then they hold their executor. Worker
//! processes, which can be killed, are what ends them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod executor;
mod program;
mod runtime;
mod said;
mod strip;

pub use executor::{
    Done, Engines, Executor, Executors, Job, Keep, Loaded, Queue, Ran, Room, Runner, ScriptsReady, Submitter, Task,
    TaskContext, TaskOwner, ThreadExecutor, ThreadOptions, Work,
};
/// How much more CPU time than a message a script's top level may use.
pub use runtime::LOADING;
/// What the calling thread has used so far of a processor.
pub use runtime::thread_cpu;

pub use program::{Language, Program, ProgramId, compile, compile_checked, strip_types};
pub use said::{Level, Line, MAX_LINE_BYTES, MAX_LINES, Said};
pub use strip::MAX_SOURCE_BYTES;
