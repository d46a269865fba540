//! Expressions and the steps made of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod support;

mod allocation;
mod bad_input;
mod documented;
mod functions;
mod language;
mod oracle;
mod steps;
mod tables;
mod xml;
