//! Scalars with a unit: `5000/s`, `10s`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Messages per time: `5000/s`, `300/m`, `10/h`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    text: String,
    per_second: f64,
}

impl Rate {
    /// Messages a second; above 0.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.per_second
    }
}

impl TryFrom<String> for Rate {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Rate, &'static str> {
        const SAY: &str = "wants a rate such as `5000/s`, `300/m` or `10/h`";
        let (count, unit) = text.split_once('/').ok_or(SAY)?;
        let count: u32 = digits(count).ok_or(SAY)?;
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(SAY),
        };
        if count == 0 {
            return Err("wants a rate above 0");
        }
        Ok(Rate { per_second: f64::from(count) / seconds, text })
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> String {
        rate.text
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "rate", "examples": ["5000/s", "300/m", "10/h"]})
    }
}

/// A length of time: `500ms`, `10s`, `5m`, `24h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    text: String,
    length: Duration,
}

impl Span {
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    pub(super) fn constant(text: &str, seconds: u64) -> Span {
        Span { text: text.to_owned(), length: Duration::from_secs(seconds) }
    }
}

impl TryFrom<String> for Span {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Span, &'static str> {
        const SAY: &str = "wants a time such as `500ms`, `10s`, `5m` or `24h`";
        let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or(SAY)?;
        let count = u64::from(digits(&text[..unit]).ok_or(SAY)?);
        let length = match &text[unit..] {
            "ms" => Duration::from_millis(count),
            "s" => Duration::from_secs(count),
            "m" => Duration::from_secs(count * 60),
            "h" => Duration::from_secs(count * 3600),
            _ => return Err(SAY),
        };
        if length.is_zero() {
            return Err("wants a time above 0");
        }
        Ok(Span { length, text })
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.text
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "time", "examples": ["500ms", "10s", "5m", "24h"]})
    }
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}
