//! Scripts: what they see, what they give, and what they cannot do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod support;

mod builtins;
mod console;
mod documentation;
mod edits;
mod executor;
mod hostile;
mod parser;
mod programs;
mod promises;
mod reference;
mod scripts;
mod strip;
mod views;
mod world;
