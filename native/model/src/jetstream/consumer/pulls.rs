//! Requests of a pull consumer that wait for messages, in turn.

use std::collections::VecDeque;

use serde::Deserialize;

/// One request, with what is left of it. Counts go below zero as the server's do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    pub reply: String,
    pub messages: i64,
    pub delivered: i64,
    /// Zero: no limit.
    pub bytes: i64,
    pub no_wait: bool,
    pub expires_at: Option<u64>,
    pub heartbeat: u64,
    pub heartbeat_at: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    batch: i64,
    expires: i64,
    max_bytes: i64,
    no_wait: bool,
    idle_heartbeat: i64,
}

impl Pull {
    /// What a request asks for: an object, a number of messages, or one message.
    ///
    /// # Errors
    /// The text of status 400.
    pub fn parse(payload: &[u8], reply: &str, now: u64) -> Result<Pull, String> {
        let text = payload.trim_ascii();
        let request = match text.first() {
            Some(b'{') => serde_json::from_slice(text).map_err(|fault| fault.to_string())?,
            _ => Request { batch: number(text).unwrap_or(1), ..Request::default() },
        };
        if request.idle_heartbeat > 0 && request.idle_heartbeat.saturating_mul(2) > request.expires {
            return Err("heartbeat value too large".into());
        }
        let at = |after: i64| (after != 0).then(|| now.saturating_add_signed(after));
        Ok(Pull {
            reply: reply.to_owned(),
            messages: request.batch,
            delivered: 0,
            bytes: request.max_bytes,
            no_wait: request.no_wait,
            expires_at: at(request.expires),
            heartbeat: request.idle_heartbeat.max(0) as u64,
            heartbeat_at: at(request.idle_heartbeat.max(0)),
        })
    }

    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// What the status that ends it reports.
    #[must_use]
    pub fn left(&self) -> [(&'static str, String); 2] {
        left(self.messages, self.bytes)
    }
}

/// Headers of a status.
#[must_use]
pub fn left(messages: i64, bytes: i64) -> [(&'static str, String); 2] {
    [("Nats-Pending-Messages", messages.to_string()), ("Nats-Pending-Bytes", bytes.to_string())]
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The requests of one consumer.
#[derive(Debug, Default)]
pub struct Pulls {
    pub waiting: VecDeque<Pull>,
    /// When the last request came; a consumer without any is deleted after a while.
    pub last_ns: u64,
    /// When they were looked at last.
    pub checked_ns: u64,
    /// When one of them expires, or a heartbeat is due.
    pub check_at: Option<u64>,
}

impl Pulls {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes one message off the first request, and puts the request at the end unless it is done. Gives what is left
    /// of the request.
    pub fn take_turn(&mut self, now: u64) -> Option<Pull> {
        let mut pull = self.waiting.pop_front()?;
        pull.delivered += 1;
        pull.messages -= 1;
        if pull.messages > 0 {
            if pull.heartbeat > 0 {
                pull.heartbeat_at = Some(now + pull.heartbeat);
            }
            self.waiting.push_back(pull.clone());
        }
        Some(pull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_object_a_number_or_nothing() {
        let parsed = |text: &str| Pull::parse(text.as_bytes(), "r", 100);
        let pull = parsed(r#"{"batch":3,"expires":50,"max_bytes":9,"idle_heartbeat":25}"#).unwrap();
        assert_eq!((pull.messages, pull.expires_at, pull.bytes, pull.heartbeat_at), (3, Some(150), 9, Some(125)));
        assert_eq!((parsed("7").unwrap().messages, parsed("").unwrap().messages), (7, 1));
        assert_eq!(parsed(r#"{"batch":1,"expires":10,"idle_heartbeat":6}"#), Err("heartbeat value too large".into()));
        assert!(parsed("{bad").is_err());
    }

    #[test]
    fn requests_take_turns() {
        let mut pulls = Pulls::default();
        pulls.waiting.push_back(Pull::parse(b"2", "a", 0).unwrap());
        pulls.waiting.push_back(Pull::parse(b"1", "b", 0).unwrap());
        let order: Vec<String> = std::iter::from_fn(|| pulls.take_turn(0)).map(|pull| pull.reply).collect();
        assert_eq!(order, ["a", "b", "a"]);
    }
}
