//! What the headers of a request say about its signature.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use message::{Code, Fault};

use super::boundary;
use super::recipe::{Recipe, Shape};
use super::template::Value;

/// Bytes of a header that is looked at here.
const MAX_HEADER: usize = 4096;
/// Signatures of one request: a sender that changes its secret makes two.
const MAX_SIGNATURES: usize = 16;
/// From here on a time is in milliseconds: in seconds it would be the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// As bytes, each as long as the algorithm makes them.
    pub(super) signatures: Vec<Vec<u8>>,
    /// As it stands in the header: so it is signed.
    pub(super) timestamp: Option<&'a str>,
    pub(super) id: Option<&'a str>,
}

impl Recipe {
    /// # Errors
    /// `http/signature-missing`, `http/signature-malformed`.
    pub(super) fn claim<'a>(&self, headers: &'a HeaderMap) -> Result<Claim<'a>, Fault> {
        let value = header(headers, &self.header)?.ok_or_else(|| missing(&self.header))?;
        let (signatures, beside) = match &self.shape {
            Shape::Prefixed(prefix) => {
                let reason = || malformed(&self.header, &format!("does not begin with `{prefix}`"));
                (vec![value.strip_prefix(prefix.as_str()).ok_or_else(reason)?], None)
            }
            Shape::Pairs => pairs(&self.header, value)?,
            Shape::Listed => (value.split(' ').filter_map(|part| part.strip_prefix("v1,")).collect(), None),
        };
        let signatures = self.decoded(&signatures)?;
        let timestamp = match &self.timestamp {
            Some(name) => Some(header(headers, name)?.ok_or_else(|| missing(name))?),
            None => beside,
        };
        let id = self.id.as_ref().map(|name| header(headers, name)).transpose()?.flatten();
        // An empty one tells no delivery from another.
        let id = id.filter(|id| !id.is_empty());
        if self.signed.needs_id() && id.is_none() {
            return Err(self.id.as_ref().map_or_else(|| missing(&self.header), missing));
        }
        Ok(Claim { signatures, timestamp, id })
    }

    fn decoded(&self, signatures: &[&str]) -> Result<Vec<Vec<u8>>, Fault> {
        let malformed = |reason: &str| malformed(&self.header, reason);
        if signatures.is_empty() {
            return Err(malformed("has no signature of the version v1"));
        }
        if signatures.len() > MAX_SIGNATURES {
            return Err(malformed(&format!("has more than {MAX_SIGNATURES} signatures")));
        }
        let decoded = signatures.iter().map(|text| {
            let bytes = self.encoding.decode(text.trim());
            bytes.filter(|bytes| bytes.len() == self.algorithm.length()).ok_or_else(|| {
                malformed(&format!("has no signature of {} bytes in {:?}", self.algorithm.length(), self.encoding))
            })
        });
        decoded.collect()
    }
}

impl Claim<'_> {
    /// # Errors
    /// `http/signature-expired` unless the time is within the tolerance, before or after `now`.
    pub(super) fn check_time(&self, now: Duration, tolerance: Duration) -> Result<(), Fault> {
        let malformed = || {
            Fault::new(
                Code::HttpSignatureMalformed,
                "the time of the signature is no number of seconds or milliseconds since 1970",
            )
        };
        let text = self.timestamp.filter(|text| text.bytes().all(|b| b.is_ascii_digit())).ok_or_else(malformed)?;
        let number: u64 = text.parse().map_err(|_| malformed())?;
        let signed =
            if number < FIRST_MILLISECONDS { Duration::from_secs(number) } else { Duration::from_millis(number) };
        let (distance, side) = if signed > now { (signed - now, "ahead") } else { (now - signed, "ago") };
        if distance <= tolerance {
            return Ok(());
        }
        let reason = format!(
            "the signature was made {} s {side}; it may be {} s at most",
            distance.as_secs(),
            tolerance.as_secs()
        );
        Err(Fault::new(Code::HttpSignatureExpired, reason))
    }

    /// `timed`: `check_time` has seen to the time.
    ///
    /// # Errors
    /// `http/signature-malformed` when the time or the id has characters by which nobody can tell where it ends in what is
    /// signed.
    pub(super) fn check_boundaries(&self, recipe: &Recipe, timed: bool) -> Result<(), Fault> {
        let (time, id) = (self.timestamp.unwrap_or_default(), self.id.unwrap_or_default());
        boundary::check_values(&recipe.signed, timed, time, id).map_err(|(value, reason)| {
            let header = match value {
                Value::Id => &recipe.id,
                Value::Timestamp => &recipe.timestamp,
            };
            malformed(header.as_ref().unwrap_or(&recipe.header), &reason)
        })
    }

    /// # Errors
    /// `http/bad-request` when the delivery has no id.
    pub(super) fn check_id(&self, recipe: &Recipe) -> Result<(), Fault> {
        match (&self.id, &recipe.id) {
            (None, Some(name)) => Err(Fault::new(
                Code::HttpBadRequest,
                format!("the header {name} is missing or empty, by which deliveries are told apart"),
            )),
            _ => Ok(()),
        }
    }
}

/// Time and signatures of `t=TIME,v1=SIGNATURE`.
fn pairs<'a>(name: &HeaderName, value: &'a str) -> Result<(Vec<&'a str>, Option<&'a str>), Fault> {
    let (mut time, mut signatures) = (None, Vec::new());
    for pair in value.split(',') {
        match pair.trim().split_once('=') {
            Some(("t", text)) if time.replace(text).is_some() => return Err(malformed(name, "has two times")),
            Some(("v1", text)) => signatures.push(text),
            Some(_) => {}
            None => return Err(malformed(name, "is not written as `t=TIME,v1=SIGNATURE`")),
        }
    }
    if time.is_none() { Err(malformed(name, "has no time `t=`")) } else { Ok((signatures, time)) }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed(name, "stands there twice"));
    }
    if value.len() > MAX_HEADER {
        return Err(malformed(name, &format!("has more than {MAX_HEADER} bytes")));
    }
    let text = value.to_str().map_err(|_| malformed(name, "has characters other than printable ASCII"))?;
    Ok(Some(text.trim()))
}

fn missing(name: &HeaderName) -> Fault {
    Fault::new(Code::HttpSignatureMissing, format!("the header {name} is missing or empty"))
}

fn malformed(name: &HeaderName, reason: &str) -> Fault {
    Fault::new(Code::HttpSignatureMalformed, format!("the header {name} {reason}"))
}
