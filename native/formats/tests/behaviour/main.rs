//! JSON, XML and CSV to documents and back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod csv;
mod model;

mod document;
mod fuzz;
mod json;
mod xml;
