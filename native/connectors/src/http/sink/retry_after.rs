//! `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long to wait, at most `most`; a date is counted from `now`, and one that has passed is
/// zero. `None` when the header is missing or neither form.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime, most: Duration) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // Too many digits for a number are a long time all the same.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(pause.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: Duration = Duration::from_secs(300);

    fn parse(text: &str, now: SystemTime) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, http::HeaderValue::from_str(text).ok()?);
        retry_after(&headers, now, MOST)
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, seconds) in [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("301", 300),
            ("99999999999999999999999", 300),
            ("Sun, 06 Nov 1994 08:50:37 GMT", 60),
            ("Sunday, 06-Nov-94 08:50:37 GMT", 60),
            ("Sun Nov  6 08:50:37 1994", 60),
            ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Sat, 06 Nov 2094 08:49:37 GMT", 300),
        ] {
            assert_eq!(parse(text, now), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1", "1.5", "soon", "1 s", "+5", "06 Nov 1994", "Mon, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now, MOST), None);
    }

    proptest! {
        #[test]
        fn any_text_gives_at_most_the_cap(text in "[ -~]{0,40}") {
            if let Some(pause) = parse(&text, SystemTime::now()) {
                prop_assert!(pause <= MOST);
            }
        }

        #[test]
        fn a_date_is_as_far_as_it_is_ahead(ahead in 0u64..300, base in 0u64..4_000_000_000) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(base);
            let text = httpdate::fmt_http_date(now + Duration::from_secs(ahead));
            prop_assert_eq!(parse(&text, now), Some(Duration::from_secs(ahead)));
        }
    }
}
