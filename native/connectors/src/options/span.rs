//! A length of time: `10s`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time: `500ms`, `10s`, `5m`, `24h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    text: String,
    length: Duration,
}

/// Far below what clocks and timers can add.
const MAX_DURATION: Duration = Duration::from_secs(720 * 3600);

impl Span {
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// For a default: `text` says the same as `length`.
    #[must_use]
    pub fn constant(text: &str, length: Duration) -> Span {
        Span { text: text.to_owned(), length }
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
        if length.is_zero() || length > MAX_DURATION {
            return Err("wants a time above 0, at most `720h`");
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
