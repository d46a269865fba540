//! The engine against a real nats-server: one binary, a module for each behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod node;

mod changes;
mod cluster;
mod core_nats;
mod customer_ids;
mod delivered;
mod headers;
mod ids;
mod large;
mod leases;
mod limits;
mod names;
mod neighbours;
mod outs;
mod parked;
mod passing;
mod permissions;
mod refused;
mod reloads;
mod removed;
mod replies;
mod retries;
mod splits;
mod stops;
mod tap;
mod urls;
