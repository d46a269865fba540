//! What is taken from a worker before it reads a byte of a customer.
//!
//! ```text
//! zygote, once:      user, pid, network, mount (an empty root) and IPC namespace       namespaces.rs
//! worker, each:      descriptors ─► environment ─► session ─► capabilities and own uid ─► parent death
//!   lock_down.rs     ─► no-new-privs ─► not dumpable ─► Landlock ─► rlimits ─► seccomp
//! ```
//!
//! Each layer alone refuses something of what a script that has broken out of its engine would do next. A layer
//! that the kernel, the container or the user does not give is reported as missing; which ones have to be there is
//! a [`LayerSet`] of the host's. Nothing is assumed from versions or names: each layer is tried.

mod descriptors;
mod identity;
mod landlock;
mod lock_down;
pub(crate) mod namespaces;
mod report;
mod rlimits;
mod seccomp;
mod session;
pub(crate) mod system;

pub use identity::Uids;
pub use report::{Layer, LayerSet, Report, State};
pub use seccomp::{REFUSED_QUIETLY, SYSCALLS};

pub(crate) use lock_down::{Given, lock_down};
pub(crate) use report::{REPORT_BYTES, errno};
pub(crate) use seccomp::Filters;
