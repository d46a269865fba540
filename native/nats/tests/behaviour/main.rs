//! The protocol, JetStream and the driver, against recorded bytes, real servers and odd ones.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod client;

mod captured;
mod cluster;
mod connection;
mod credentials;
mod fuzz;
mod jetstream;
mod odd_servers;
mod protocol;
mod tls;
