//! One question, one answer, for control: one subscription for all, made when the first is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use message::{Code, Fault};
use tokio::sync::oneshot;

use super::Outbox;
use crate::protocol::{Message, check_subject, encode_pub, encode_sub, status, write_number};

/// The subscription id of answers to requests; handlers use others.
pub const SID: u64 = 0;

/// An answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The block, or nothing.
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
}

pub struct Requests {
    prefix: Vec<u8>,
    subscribed: bool,
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Reply>>,
}

impl Requests {
    /// `random`: nobody else's answers have the same.
    pub fn new(random: [u64; 2]) -> Self {
        let prefix = format!("_INBOX.{:016x}{:016x}.", random[0], random[1]).into_bytes();
        Requests { prefix, subscribed: false, next: 0, waiting: BTreeMap::new() }
    }

    /// A message of the subscription [`SID`]. What nobody waits for any more is dropped.
    pub fn answer(&mut self, message: &Message<'_>) {
        let number = message.subject.strip_prefix(&*self.prefix).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(waiting) = number.and_then(|digits| digits.parse().ok()).and_then(|n: u64| self.waiting.remove(&n))
        {
            // The one who asked may have given up.
            let _ = waiting.send(Reply { headers: message.headers.to_vec(), payload: message.payload.to_vec() });
        }
    }

    /// The server does not permit a subscription: where it is this one, the next request tries again.
    pub fn on_refused(&mut self, subject: &str) {
        let is_ours = subject.strip_suffix('*').is_some_and(|prefix| prefix.as_bytes() == self.prefix);
        self.subscribed &= !is_ours;
    }

    /// The server forgot the subscription; nobody will answer. Those who wait learn it when the
    /// senders are dropped.
    pub fn disconnect(&mut self) -> Vec<oneshot::Sender<Reply>> {
        self.subscribed = false;
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Enters a request. Gives its number, where its answer comes, its reply subject, and the
    /// subscription to make before the first.
    fn enter(&mut self) -> (u64, oneshot::Receiver<Reply>, Vec<u8>, Option<Vec<u8>>) {
        let number = self.next;
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(number, sender);
        let mut reply = self.prefix.clone();
        write_number(&mut reply, number);
        let first = !std::mem::replace(&mut self.subscribed, true);
        (number, receiver, reply, first.then(|| [&self.prefix, &b"*"[..]].concat()))
    }
}

/// Takes the entry out when the asker gives up before the answer.
struct Entry<'a> {
    outbox: &'a Outbox,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        drop(self.outbox.with_requests(|requests| requests.waiting.remove(&self.number)));
    }
}

pub async fn request(outbox: &Outbox, subject: &str, payload: &[u8], timeout: Duration) -> Result<Reply, Fault> {
    check_subject(subject).map_err(|error| Fault::new(Code::NatsRefused, error.to_string()))?;
    let disconnected = || Fault::new(Code::NatsDisconnected, "no connection to ask over");
    if !outbox.connected() {
        return Err(disconnected());
    }
    let (number, answer, reply, subscribe) = outbox.with_requests(Requests::enter);
    let _entry = Entry { outbox, number };
    let taken = outbox.write(|out| {
        if let Some(wildcard) = subscribe {
            encode_sub(out, &wildcard, b"", SID);
        }
        encode_pub(out, subject.as_bytes(), &reply, payload);
    });
    if !taken {
        return Err(disconnected());
    }
    let reply = match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) => return Err(disconnected()),
        Err(_) => {
            outbox.suspect();
            return Err(Fault::new(Code::NatsTimeout, format!("no answer on {subject} within {timeout:?}")));
        }
    };
    if reply.payload.is_empty() && status(&reply.headers).is_some_and(|(code, _)| code == 503) {
        return Err(Fault::new(Code::NatsNoStream, format!("nobody listens on {subject}")));
    }
    Ok(reply)
}
