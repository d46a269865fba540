//! What the tests of several crates need. For tests alone: no crate uses it outside `dev-dependencies`.
//!
//! - [`Server`]: a real nats-server on a free port, [`Cluster`]: three of them; [`Client`] speaks to one without the
//!   code under test.
//! - [`post`], [`take_one`]: one HTTP request from either end; [`Receiver`]: an HTTP server that fails until
//!   it is told to recover; [`Certificates`] for servers with TLS, [`Nkey`] and [`Operator`] for those that want keys or
//!   JWTs.
//! - [`Mosquitto`]: a real MQTT broker on a free port.
//! - [`eventually`] waits for a condition; [`run`] runs an async test; [`Folder`] goes with its test.
//! - [`alone`] gives a test a process of its own; [`known_fault!`] marks a fault that is not repaired yet.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod alone;
mod certificates;
mod client;
mod cluster;
mod folder;
mod http;
mod known_fault;
mod mosquitto;
mod nkey;
mod receiver;
mod server;
mod wait;

pub use alone::alone;
pub use certificates::Certificates;
pub use client::{Client, Got};
pub use cluster::Cluster;
pub use folder::Folder;
pub use http::{post, take_one};
pub use known_fault::known_fault;
pub use mosquitto::{Mosquitto, Subscriber};
pub use nkey::{Nkey, Operator};
pub use receiver::Receiver;
pub use server::Server;
pub use wait::{WAIT_TIMEOUT, eventually, run};
