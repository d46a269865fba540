//! Tasks and results as bytes.
//!
//! ```text
//! request   definitions: programs, tables, owners, and what may be forgotten     request.rs
//!           then tasks, each with its document as a tape
//! replies   one frame for each task, in their order                              reply.rs
//!           unchanged | what the script added to the tape, and the roots | a fault
//! ```
//!
//! A worker trusts the host: what it cannot read ends it. The host trusts no worker: every reply is checked to its last
//! byte before anything of it is used.

pub mod reply;
pub mod request;

#[cfg(test)]
mod tests;

/// How the host names a program, a table or an owner to one worker. Never used twice for one worker.
pub type Slot = u32;

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged(pub &'static str);

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Damaged {}

trait OrDamaged<T> {
    fn or_damaged(self, what: &'static str) -> Result<T, Damaged>;
}

impl<T> OrDamaged<T> for Option<T> {
    fn or_damaged(self, what: &'static str) -> Result<T, Damaged> {
        self.ok_or(Damaged(what))
    }
}
