//! What the tests of several crates need. For tests alone: no crate uses it outside `dev-dependencies`.
//!
//! [`Server`] starts a real nats-server on a free port, [`Client`] speaks to it without the code under
//! test, [`post`] and [`take_one`] are one HTTP request from either end, [`Receiver`] an HTTP server that
//! fails until told to recover, [`eventually`] waits for a condition, and [`alone`] gives a test a process
//! of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod alone;
mod client;
mod http;
mod receiver;
mod server;
mod wait;

pub use alone::alone;
pub use client::{Client, Got};
pub use http::{post, take_one};
pub use receiver::Receiver;
pub use server::Server;
pub use wait::{WAIT_TIMEOUT, eventually};
