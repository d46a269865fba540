//! The process that forks workers, and the host's handle on it.
//!
//! ```text
//! node (many threads)                    zygote (one thread, nothing of any customer)
//! Zygote::launch ── request, memfd ────► fork ─► worker: lock_down ─► worker::serve(memfd)
//!   host.rs      ◄─ report, pidfd ────── status pipe ◄─┘
//! ```
//!
//! A process with threads must not be forked, and the node has many. So the zygote is another program run from the
//! start, by `exec`: nothing that the node has in its memory or its environment is in the zygote's or a worker's.
//! The two speak by a `SOCK_SEQPACKET` socket, a message each way at a time. When the node's end closes, also by
//! SIGKILL, the zygote kills its workers and ends; when the zygote is killed, the kernel kills its workers.

mod control;
mod host;
mod run;
mod workers;

pub use host::Zygote;
pub use run::{Options, run};
