//! What a subject and the name of a stream may be in a pipeline file. Subjects of the server and of ours are not for
//! pipelines: who could publish there could forge acks, purge streams, or reach other customers.

const MAX_SUBJECT: usize = 256;
const MAX_NAME: usize = 128;

/// One subject; with `wildcards` a filter, whose first part is a name all the same.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the text.
pub fn check(text: &str, wildcards: bool) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > MAX_SUBJECT || text.split('.').any(str::is_empty) {
        return Err("is no NATS subject: parts of at least one character, between dots, at most 256 in all");
    }
    if text.bytes().any(|b| b <= b' ' || b == 127) {
        return Err("may not hold blanks or control characters");
    }
    let count = text.split('.').count();
    for (at, part) in text.split('.').enumerate() {
        match part {
            "*" if wildcards => {}
            ">" if wildcards && at + 1 == count => {}
            _ if part.contains(['*', '>']) => return Err("has a wildcard that is not allowed there"),
            _ => {}
        }
    }
    let first = text.split('.').next().unwrap_or_default();
    if first.starts_with('$') || matches!(first, "vrsky" | "_INBOX" | "*" | ">") {
        return Err("reaches subjects of the system; start it with a name of your own");
    }
    Ok(())
}

/// A stream or a durable consumer: the server makes files of them.
///
/// # Errors
/// Like [`check`].
pub fn check_name(text: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(plain) {
        return Err("may hold only letters, digits, `-` and `_`, 1 to 128");
    }
    if text.to_ascii_uppercase().starts_with("VRSKY_") {
        return Err("is the name of a stream of the system");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_checked_by_use() {
        for plain in ["orders", "orders.in", "a.b-c_d.9", "orders.$x"] {
            assert!(check(plain, true).is_ok() && check(plain, false).is_ok(), "{plain}");
        }
        for wild in ["orders.*", "orders.>", "a.*.c"] {
            assert!(check(wild, true).is_ok() && check(wild, false).is_err(), "{wild}");
        }
    }

    #[test]
    fn what_is_no_subject_or_the_systems_is_refused() {
        let long = "x".repeat(257);
        let broken = ["", ".", "a.", ".a", "a..b", "a b", "a\r\nPUB", "a.>.b", "a*", "a.b>", &long];
        let reserved = [">", "*.a", "$JS.API.>", "$KV.x", "_INBOX.x", "vrsky.logic.x", "vrsky"];
        for bad in broken.into_iter().chain(reserved) {
            assert!(check(bad, true).is_err() && check(bad, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn streams_and_consumers_have_plain_names() {
        assert!(check_name("ORDERS-2_x").is_ok());
        for bad in ["", "a.b", "a b", "VRSKY_DEAD", "vrsky_x", &"x".repeat(129)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
