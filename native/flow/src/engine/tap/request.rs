//! What somebody who watches asks for.

use serde::Deserialize;

use crate::engine::subjects;

/// Shares of all messages that a sample can name.
const SHARES: u32 = 10_000;
const MAX_BYTES: usize = 1 << 10;
const MIN_TOKEN: usize = 16;
const MAX_TOKEN: usize = 40;

/// The payload of a request, JSON. One for a tap that is there already gives it another lease.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    /// The last token of the subject that gets the records: 16 to 40 letters and digits, hard to guess.
    token: Box<str>,
    /// Only messages that become dead letters.
    #[serde(default, rename = "failed")]
    pub only_failed: bool,
    /// Only what this step gives; `in` for what comes in.
    #[serde(default)]
    step: Option<Box<str>>,
    /// So many of 10,000 messages.
    #[serde(default = "all")]
    sample: u32,
    /// The tap ends.
    #[serde(default, rename = "stop")]
    pub stops: bool,
}

fn all() -> u32 {
    SHARES
}

impl Request {
    /// `None` for what is no request.
    pub fn read(payload: &[u8]) -> Option<Request> {
        if payload.len() > MAX_BYTES {
            return None;
        }
        let request: Request = serde_json::from_slice(payload).ok()?;
        let is_token = (MIN_TOKEN..=MAX_TOKEN).contains(&request.token.len())
            && request.token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_token.then_some(request)
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether a message is in the sample: all of it or nothing, on every node.
    pub fn samples(&self, id: &str) -> bool {
        self.sample >= SHARES || subjects::hash(id) % u64::from(SHARES) < u64::from(self.sample)
    }

    /// Whether what a step gives is shown. `label`: `1:filter`, with `[2]` behind it for the third part of a split.
    pub fn takes(&self, label: &str) -> bool {
        let step = label.split('[').next().unwrap_or_default();
        !self.only_failed && self.step.as_deref().is_none_or(|wanted| wanted == step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Request> {
        Request::read(text.as_bytes())
    }

    #[test]
    fn a_token_is_letters_and_digits_and_nothing_that_a_subject_has_a_meaning_for() {
        assert!(read(r#"{"token":"0123456789abcdef"}"#).is_some());
        for token in ["", "short", "0123456789abcde.", "0123456789abcdef.>", "0123456789abcde*", "0123456789abcd ef"] {
            assert!(read(&format!(r#"{{"token":"{token}"}}"#)).is_none(), "{token}");
        }
        assert!(read(&format!(r#"{{"token":"{}"}}"#, "a".repeat(41))).is_none());
        assert!(read(&format!(r#"{{"token":"0123456789abcdef","more":"{}"}}"#, "a".repeat(1024))).is_none());
        assert!(read("no JSON").is_none());
    }

    #[test]
    fn a_sample_takes_about_its_share_and_the_same_messages_again() {
        let request = read(r#"{"token":"0123456789abcdef","sample":100}"#).unwrap();
        let ids: Vec<_> = (0..100_000).map(|number| format!("acme.{number:032x}")).collect();
        let taken: Vec<_> = ids.iter().filter(|id| request.samples(id)).collect();
        assert!((800..1_200).contains(&taken.len()), "{}", taken.len());
        assert_eq!(taken, ids.iter().filter(|id| request.samples(id)).collect::<Vec<_>>());
    }

    #[test]
    fn a_step_is_taken_with_all_of_its_parts() {
        let request = read(r#"{"token":"0123456789abcdef","step":"1:filter"}"#).unwrap();
        assert!(request.takes("1:filter") && request.takes("1:filter[0][2]"));
        assert!(!request.takes("in") && !request.takes("11:filter"));
        assert!(!read(r#"{"token":"0123456789abcdef","failed":true}"#).unwrap().takes("1:filter"));
    }
}
