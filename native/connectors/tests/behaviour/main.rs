//! Each connector from outside: its options, its far end, and what it does when that misbehaves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets one fails")]

mod delivery;

mod file_sink;
mod file_source;
mod http_guard;
mod http_sink;
mod http_source;
mod http_template;
mod mqtt;
mod stdout_sink;
