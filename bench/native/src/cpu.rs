//! What this program has used of the processors. It has one thread.

/// Microseconds so far; Linux alone says it.
pub fn used() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split(' ').next()?.parse::<u64>().ok().map(|nanoseconds| nanoseconds / 1000)
}

/// Microseconds a message since `before`, as JSON.
#[allow(clippy::cast_precision_loss)]
pub fn per_message(before: Option<u64>, messages: usize) -> String {
    let spent = before.and_then(|before| used().map(|now| now - before));
    spent.map_or_else(|| "null".to_owned(), |spent| format!("{:.3}", spent as f64 / messages as f64))
}
