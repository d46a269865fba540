//! The HTTP source against real sockets: what a sender is answered, and what the host gets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod abuse;
mod answers;
mod capacity;
mod host;
mod shutdown;
