//! A token for an out's requests, by the client's own credentials (RFC 6749, 4.4).
//!
//! ```text
//! request ─► get ─┬─ one that is good ──────────────────────────► Authorization
//!                 └─ none: one request for all that wait ─► token server
//!                        request.rs ──►  ──► answer.rs
//! ```
//!
//! It is asked for again shortly before its end, and once when the out's server answers 401. A client that is refused
//! is a fault of whoever runs it, and of no message: messages wait. Tokens are kept in memory, for this out and shard.

mod answer;
mod request;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::HeaderValue;
use message::{Code, Fault};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::connector::NoConnection;
use super::{HttpClient, OauthOptions};
use crate::contract::Outcome;
use request::TokenRequest;

/// The part of a token's life in which it is not used any more, and the most of it.
const PART_OF_LIFE: u32 = 10;
const MAX_MARGIN: Duration = Duration::from_secs(60);
/// A client that is refused is not presented again before this: some servers lock one that comes too often.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// The value of `Authorization`; it is never shown.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    /// Which answer it came with.
    number: u64,
    good_until: Instant,
}

/// Of one out.
pub(super) struct Tokens {
    request: TokenRequest,
    timeout: Duration,
    /// What the last answer was.
    last: RefCell<Option<Result<Token, Outcome>>>,
    /// Until then the last answer holds, though it is no token.
    not_before: Cell<Option<Instant>>,
    /// Answers ever.
    answers: Cell<u64>,
    /// Held by whoever asks the server.
    asking: Mutex<()>,
}

impl Tokens {
    /// # Errors
    /// `config/invalid-value` for a URL or credentials that cannot be sent.
    pub(super) fn new(options: &OauthOptions, timeout: Duration) -> Result<Tokens, Fault> {
        Ok(Tokens {
            request: TokenRequest::new(options)?,
            timeout,
            last: RefCell::new(None),
            not_before: Cell::new(None),
            answers: Cell::new(0),
            asking: Mutex::new(()),
        })
    }

    /// The URL of the token server.
    pub(super) fn url(&self) -> &http::Uri {
        self.request.url()
    }

    /// A token that is good, and is not the one that was refused.
    pub(super) async fn get(&self, client: &HttpClient, refused: Option<&Token>) -> Result<Token, Outcome> {
        if let Some(known) = self.known(refused) {
            return known;
        }
        let answers = self.answers.get();
        let _asking = self.asking.lock().await;
        // Who has waited shares the answer, also when it is no token.
        if self.answers.get() != answers
            && let Some(answer) = self.last.borrow().clone()
        {
            return answer;
        }
        let number = answers + 1;
        let answer = self.ask(client, number).await;
        self.answers.set(number);
        self.not_before.set(answer.as_ref().err().map(|outcome| Instant::now() + pause(outcome)));
        *self.last.borrow_mut() = Some(answer.clone());
        answer
    }

    /// What need not be asked for.
    fn known(&self, refused: Option<&Token>) -> Option<Result<Token, Outcome>> {
        let now = Instant::now();
        let last = self.last.borrow();
        let is_known = match last.as_ref()? {
            Ok(token) => token.good_until > now && refused.is_none_or(|refused| refused.number != token.number),
            Err(_) => self.not_before.get().is_some_and(|until| until > now),
        };
        last.clone().filter(|_| is_known)
    }

    async fn ask(&self, client: &HttpClient, number: u64) -> Result<Token, Outcome> {
        let asked = Instant::now();
        let exchange = async {
            let response = client.request(self.request.make()).await.map_err(|error| unreached(&error))?;
            answer::read(response).await
        };
        let answered = timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            let reason = format!("the token server gave no whole answer within {} ms", self.timeout.as_millis());
            Err(again(Fault::new(Code::HttpOauthUnavailable, reason), None))
        });
        answered.map(|granted| Token {
            authorization: granted.authorization,
            number,
            good_until: asked + granted.life.saturating_sub((granted.life / PART_OF_LIFE).min(MAX_MARGIN)),
        })
    }
}

/// How long the server is not asked again.
fn pause(outcome: &Outcome) -> Duration {
    let Outcome::Retry { fault, after } = outcome else { return Duration::ZERO };
    let least = if fault.code() == Code::HttpOauthRefused { REFUSED_PAUSE } else { Duration::ZERO };
    after.unwrap_or_default().max(least)
}

fn unreached(error: &hyper_util::client::legacy::Error) -> Outcome {
    let reason = match super::answer::find::<NoConnection>(error) {
        // An address that may not be dialled is for the pipeline file to mend, as it is with the out's own URL.
        Some(NoConnection(fault)) if !fault.code().retryable() => {
            return Outcome::Permanent(Fault::new(fault.code(), format!("the token server: {}", fault.reason())));
        }
        Some(NoConnection(fault)) => fault.reason().to_owned(),
        None => super::answer::innermost(error).to_string(),
    };
    again(Fault::new(Code::HttpOauthUnavailable, format!("the token server: {reason}")), None)
}

fn again(fault: Fault, after: Option<Duration>) -> Outcome {
    Outcome::Retry { fault, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_client_is_left_alone_and_so_is_a_server_that_asks_for_it() {
        let minute = Duration::from_secs(60);
        for (code, after, expected) in [
            (Code::HttpOauthRefused, None, REFUSED_PAUSE),
            (Code::HttpOauthRefused, Some(minute), minute),
            (Code::HttpOauthUnavailable, Some(minute), minute),
            (Code::HttpOauthUnavailable, None, Duration::ZERO),
            (Code::HttpOauthBadAnswer, None, Duration::ZERO),
        ] {
            assert_eq!(pause(&again(Fault::new(code, ""), after)), expected);
        }
    }
}
