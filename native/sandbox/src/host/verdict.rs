//! What a message is told when its worker did not answer.

use std::time::Duration;

use message::{Code, Fault};
use script::Program;

use super::ProcessOptions;

/// Why a request ended without an answer to the message that was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Past the hard deadline of CPU time; the worker was killed.
    Late(Duration),
    /// It neither ran nor waited for a processor, such as after SIGSTOP; the worker was killed.
    Stopped,
    /// It waited for a processor longer than anything should; the worker was killed.
    Starved,
    /// The process ended by itself, or somebody else ended it.
    Over,
    /// The reply is none of ours; the worker was killed.
    Damaged(&'static str),
}

impl End {
    pub fn fault(self, program: Option<&Program>) -> Fault {
        let (code, reason) = match self {
            End::Late(used) => (
                Code::ScriptKilled,
                format!(
                    "it was ended after {} ms of CPU time in something that cannot be interrupted",
                    used.as_millis()
                ),
            ),
            End::Stopped => (Code::ScriptKilled, "its process was stopped, and was ended".to_owned()),
            End::Starved => (Code::ScriptUnavailable, "its process got no processor for too long".to_owned()),
            End::Over => {
                (Code::ScriptKilled, "its process ended while it ran: used up memory, or somebody ended it".to_owned())
            }
            End::Damaged(what) => {
                (Code::ScriptKilled, format!("its process gave a damaged answer ({what}), and was ended"))
            }
        };
        let fault = Fault::new(code, reason);
        match program {
            Some(program) => fault.in_file(program.file()),
            None => fault,
        }
    }
}

impl End {
    /// Whether the program has a part in it.
    pub fn is_strike(self) -> bool {
        self != End::Starved
    }
}

/// The program rests.
pub fn quarantined(rest: Duration) -> Fault {
    let reason = format!("it was killed again and again; it is tried again in {} s", rest.as_secs() + 1);
    Fault::new(Code::ScriptQuarantined, reason)
}

/// Turns wait for the end of others.
pub fn full(workers: usize, options: &ProcessOptions) -> Fault {
    let mib = options.workers_bytes >> 20;
    let reason =
        format!("customers' scripts wait: {workers} workers may use all of the {mib} MiB that they have together");
    Fault::new(Code::ScriptNoRoom, reason)
}

/// No worker could be started.
pub fn no_worker(error: &std::io::Error) -> Fault {
    Fault::new(Code::ScriptUnavailable, format!("no worker process for scripts: {error}"))
}
