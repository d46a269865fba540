//! JSON and XML to documents and back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod model;

mod document;
mod fuzz;
mod json;
mod xml;
