//! What a client does in a history, and how that reads on the wire.

use std::fmt;

use nats::protocol::{encode_hpub, encode_pub};

#[derive(Clone, Debug)]
pub struct History {
    pub seed: u64,
    /// The user that the client is.
    pub user: Option<&'static str>,
    pub steps: Vec<Step>,
    /// How long after its time something may happen on the server.
    pub blur_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for so many milliseconds.
    Wait(u64),
    /// A message to a stream's subject; names and values of headers.
    Publish {
        subject: String,
        headers: Vec<(String, String)>,
        payload: String,
    },
    /// A request to the API; `%` in subjects and bodies stands for the run's own number.
    Api {
        verb: String,
        body: String,
    },
    Pull {
        consumer: String,
        body: String,
    },
    /// A payload to the ack subject of a delivery, counted from the last one.
    Ack {
        nth: usize,
        payload: String,
        double: bool,
    },
    /// Bytes as they are, but for `%`.
    Raw(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Wait(ms) => write!(f, "wait {ms} ms"),
            Step::Publish { subject, headers, payload } => {
                write!(f, "publish {subject} {:?}, {} bytes", headers, payload.len())
            }
            Step::Api { verb, body } => write!(f, "api {verb} {body}"),
            Step::Pull { consumer, body } => write!(f, "pull {consumer} {body}"),
            Step::Ack { nth, payload, double } => {
                write!(f, "ack {nth} before the last: {payload:?}{}", if *double { ", answered" } else { "" })
            }
            Step::Raw(text) => write!(f, "raw {text:?}"),
        }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "history {} of {} steps:", self.seed, self.steps.len())?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {index:2} {step}")?;
        }
        Ok(())
    }
}

/// A step's bytes. `number`: of this run. `acks`: reply subjects of all deliveries so far.
pub fn encode(step: &Step, index: usize, number: &str, acks: &[String]) -> Vec<u8> {
    let own = |text: &str| text.replace('%', number);
    let (mut out, reply) = (Vec::new(), format!("r{number}.{index}"));
    match step {
        Step::Wait(_) => {}
        Step::Publish { subject, headers, payload } => {
            let mut block = String::new();
            if !headers.is_empty() {
                let line = |(name, value): &(String, String)| format!("{name}: {}\r\n", own(value));
                block = format!("NATS/1.0\r\n{}\r\n", headers.iter().map(line).collect::<String>());
            }
            encode_hpub(&mut out, own(subject).as_bytes(), reply.as_bytes(), block.as_bytes(), payload.as_bytes());
        }
        Step::Api { verb, body } => {
            let subject = format!("$JS.API.{}", own(verb));
            encode_pub(&mut out, subject.as_bytes(), reply.as_bytes(), own(body).as_bytes());
        }
        Step::Pull { consumer, body } => {
            let (subject, inbox) = (format!("$JS.API.CONSUMER.MSG.NEXT.S{number}.{consumer}"), format!("d{number}"));
            encode_pub(&mut out, subject.as_bytes(), inbox.as_bytes(), body.as_bytes());
        }
        Step::Ack { nth, payload, double } => {
            if let Some(ack) = acks.iter().rev().cycle().nth(*nth).filter(|_| !acks.is_empty()) {
                let reply = if *double { reply.as_bytes() } else { b"" };
                encode_pub(&mut out, ack.as_bytes(), reply, payload.as_bytes());
            }
        }
        Step::Raw(text) => out.extend_from_slice(own(text).as_bytes()),
    }
    out
}
