//! The HTTP sink against servers that behave, and against those that do not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod outcomes;
mod redirects;
mod requests;
mod server;
mod tls;
