//! CEL: the steps filter, route, set, remove and rename.
//!
//! ```text
//! when a pipeline is compiled                      when a message passes
//!
//! text ─► checks.rs    length, nesting, operators   filter.rs  true ─► Pass, false ─► Drop
//!      ─► parse.rs     the cel crate, big stack     route.rs   first case that holds ─► outs
//!      ─► compile.rs   names, arities, macros.rs    set.rs     value ─► draft.rs ─► document
//!      ─► fold.rs      constants computed           remove.rs, rename.rs
//!      ─► program.rs   Send + Sync                     │
//!                         └────────────────────────────┴─► evaluate.rs, with fuel, on the tape
//! ```
//!
//! `cel` parses; it does not run. Its evaluator converts values, has no fuel and cannot be
//! interrupted; ours reads the document where it lies. Tests hold the two equal wherever the
//! specification agrees; `docs/expressions.md` says what is supported and where it differs.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod arithmetic;
mod calendar;
mod calls;
mod checks;
mod civil;
mod compare;
mod compile;
mod condition;
mod conversions;
mod draft;
mod edit;
mod evaluate;
mod failure;
mod filter;
mod fold;
mod functions;
mod lookup;
mod loops;
mod macros;
mod mathematics;
mod number;
mod operand;
mod parse;
mod path;
mod program;
mod remove;
mod rename;
mod route;
mod set;
mod spent;
mod text;
mod time;

pub use filter::Filter;
pub use remove::Remove;
pub use rename::Rename;
pub use route::{Case, Route};
pub use set::Set;
pub use spent::take_spent;
