//! NATS as an in or an out: only the model of the binding. The host reads and publishes on its
//! shard's own connection.

use message::{Code, Fault};

/// Where a pipeline reads from or publishes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub subject: String,
    pub mode: Mode,
    /// As an in with JetStream: the stream, and the durable consumer on it.
    pub stream: Option<String>,
    pub durable: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// At most once.
    Core,
    /// At least once.
    #[default]
    Jetstream,
}

const LONGEST_SUBJECT: usize = 256;
const LONGEST_NAME: usize = 255;
/// Ours, or the server's: who could publish there could forge acks, purge streams, or write to
/// another customer's pipeline.
const RESERVED: [&str; 3] = ["$", "_INBOX.", "vrsky."];

impl Binding {
    /// As an in: wildcards are fine. `config/invalid-value` names the key in `place.pointer`,
    /// below the binding: `/subject`.
    pub fn check_in(&self) -> Result<(), Fault> {
        check_subject(&self.subject, true)?;
        match (self.mode, &self.stream, &self.durable) {
            (Mode::Core, Some(_), _) => Err(invalid("/stream", "core NATS has no streams; write `mode: jetstream`")),
            (Mode::Core, _, Some(_)) => Err(invalid("/durable", "core NATS has no consumers; write `mode: jetstream`")),
            (_, stream, durable) => {
                stream.as_deref().map_or(Ok(()), |name| check_name("/stream", name))?;
                durable.as_deref().map_or(Ok(()), |name| check_name("/durable", name))
            }
        }
    }

    /// As an out: one subject, no wildcards; a consumer makes no sense.
    pub fn check_out(&self) -> Result<(), Fault> {
        check_subject(&self.subject, false)?;
        match (&self.stream, &self.durable) {
            (_, Some(_)) => Err(invalid("/durable", "an out has no consumer")),
            (Some(name), None) => check_name("/stream", name),
            (None, None) => Ok(()),
        }
    }
}

fn check_subject(subject: &str, wildcards: bool) -> Result<(), Fault> {
    let refused = |reason: &str| Err(invalid("/subject", &format!("the subject {subject:?} {reason}")));
    if subject.is_empty() || subject.len() > LONGEST_SUBJECT {
        return refused("has to have 1 to 256 bytes");
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refused("has blanks or control characters");
    }
    if RESERVED.iter().any(|start| subject.starts_with(start)) {
        return refused("is reserved");
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let wild = token == "*" || token == ">";
        if token.is_empty() {
            return refused("has an empty part");
        }
        if token.contains(['*', '>']) && !(wild && wildcards) {
            return refused(if wildcards {
                "has a wildcard that is no part of its own"
            } else {
                "has a wildcard; an out publishes to one subject"
            });
        }
        if token == ">" && tokens.peek().is_some() {
            return refused("has `>` before its end");
        }
    }
    // `*.x` and `>` would take in what is reserved.
    if subject.starts_with('*') || subject == ">" {
        return refused("has to start with a name");
    }
    Ok(())
}

/// A stream or consumer: the server makes files of them.
fn check_name(pointer: &str, name: &str) -> Result<(), Fault> {
    let fine = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fine { Ok(()) } else { Err(invalid(pointer, "the name has to be 1 to 255 letters, digits, `-` or `_`")) }
}

fn invalid(pointer: &str, reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidValue, reason).at_pointer(pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(subject: &str) -> Binding {
        Binding { subject: subject.into(), mode: Mode::Core, stream: None, durable: None }
    }

    #[test]
    fn subjects_are_checked_by_use() {
        for plain in ["orders", "orders.in", "a.b-c_d.9", "orders.$x"] {
            assert!(binding(plain).check_in().is_ok() && binding(plain).check_out().is_ok(), "{plain}");
        }
        for wild in ["orders.*", "orders.>", "a.*.c"] {
            assert!(binding(wild).check_in().is_ok() && binding(wild).check_out().is_err(), "{wild}");
        }
        let long = "x".repeat(257);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\r\nPUB",
            "a.>.b",
            "a*",
            "a.b>",
            ">",
            "*.a",
            "$JS.API.>",
            "$KV.x",
            "_INBOX.x",
            "vrsky.logic.x",
            &long,
        ] {
            for checked in [binding(bad).check_in(), binding(bad).check_out()] {
                let fault = checked.unwrap_err();
                assert_eq!(
                    (fault.code(), fault.place().pointer.as_deref()),
                    (Code::ConfigInvalidValue, Some("/subject")),
                    "{bad}"
                );
            }
        }
    }

    #[test]
    fn streams_and_consumers_belong_to_jetstream() {
        let mut jetstream = Binding {
            mode: Mode::Jetstream,
            stream: Some("ORDERS".into()),
            durable: Some("vrsky".into()),
            ..binding("orders")
        };
        assert!(jetstream.check_in().is_ok());
        assert_eq!(jetstream.check_out().unwrap_err().place().pointer.as_deref(), Some("/durable"));
        assert_eq!(
            Binding { mode: Mode::Core, ..jetstream.clone() }.check_in().unwrap_err().place().pointer.as_deref(),
            Some("/stream")
        );
        jetstream.durable = Some("a.b".into());
        assert_eq!(jetstream.check_in().unwrap_err().place().pointer.as_deref(), Some("/durable"));
    }
}
