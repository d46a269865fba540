//! Workers, from outside.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unsafe_code)] // Memory that is shared with a worker.

mod calls;
mod layers;
mod layers_seccomp;
mod layers_support;
mod layers_worker;
mod layers_zygote;
mod process;
mod process_hostile;
mod process_support;
mod process_zygote;
