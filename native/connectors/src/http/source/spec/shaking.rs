//! From the options of handshakes to what answers them.

use http::Method;
use message::{Code, Fault};

use crate::http::options::{
    BodyChallenge, ChallengeMethod, ChallengeReply, ChallengeWhen, HandshakeOptions, QueryChallenge,
};
use crate::http::source::{Handshake, Reply, When};
use crate::kind::Secrets;

/// The names of their secrets.
pub(super) fn secrets(options: &HandshakeOptions) -> Vec<&str> {
    let verify = options.query.as_ref().and_then(|query| query.verify.as_ref());
    verify.map(|verify| verify.token.list().iter().map(|one| one.secret.as_str()).collect()).unwrap_or_default()
}

/// With the values of the secrets.
///
/// # Errors
/// `secret/not-found`; `config/invalid-value` for a verify token that is no token.
pub(super) fn open(options: &HandshakeOptions, secrets: &dyn Secrets) -> Result<Vec<Handshake>, Fault> {
    let mut all = Vec::new();
    if let Some(options) = &options.query {
        all.push(query(options, secrets)?);
    }
    if let Some(options) = &options.body {
        all.push(body(options)?);
    }
    if let Some(options) = &options.cloud_events {
        let origins = options.origins.iter().map(|origin| origin.0.clone()).collect();
        all.push(Handshake::CloudEvents { origins, rate: options.rate });
    }
    Ok(all)
}

fn query(options: &QueryChallenge, secrets: &dyn Secrets) -> Result<Handshake, Fault> {
    let verify = options.verify.as_ref().map(|verify| {
        let tokens =
            verify.token.names().iter().map(|name| super::token_in(secrets, name)).collect::<Result<_, _>>()?;
        Ok::<_, Fault>((verify.parameter.to_string(), tokens))
    });
    let method = match options.method {
        ChallengeMethod::Get => Method::GET,
        ChallengeMethod::Post => Method::POST,
    };
    Ok(Handshake::Query { method, challenge: options.challenge.to_string(), verify: verify.transpose()? })
}

fn body(options: &BodyChallenge) -> Result<Handshake, Fault> {
    let when = match &options.when {
        None => When::Alone,
        Some(ChallengeWhen::Field(when)) => {
            let one = when.field.iter().next();
            one.map_or(When::Alone, |(name, text)| When::Field(name.clone(), text.clone()))
        }
        Some(ChallengeWhen::Header(when)) => match when.header.iter().next() {
            None => When::Alone,
            Some((name, value)) => {
                let name = name.parse().map_err(|_| {
                    Fault::new(Code::ConfigInvalidValue, format!("`{}` is no header name", name.escape_debug()))
                })?;
                When::Header(name, value.to_string())
            }
        },
    };
    let reply = match options.reply {
        ChallengeReply::Text => Reply::Text,
        ChallengeReply::Json => Reply::Json,
    };
    Ok(Handshake::Body { challenge: options.challenge.clone(), when, reply })
}
