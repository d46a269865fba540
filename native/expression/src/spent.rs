//! Steps that costly expressions have taken on this thread, for whoever divides its time between customers.

use std::cell::Cell;

/// Expressions below this many steps, a quarter of a millisecond at most, are not counted: nearly all.
const COSTLY: u64 = 1_000;

thread_local! {
    static SPENT: Cell<u64> = const { Cell::new(0) };
}

/// Steps of costly expressions on this thread since the last call.
#[must_use]
pub fn take_spent() -> u64 {
    SPENT.take()
}

#[inline]
pub(crate) fn count(steps: u64) {
    if steps >= COSTLY {
        SPENT.set(SPENT.get().saturating_add(steps));
    }
}

#[cfg(test)]
mod tests {
    use message::{Context, Document, Headers, Limits, Step, Work};

    use super::*;
    use crate::Filter;

    fn spent_by(expression: &str, fuel: u64) -> u64 {
        let (limits, mut document) = (Limits { fuel, ..Limits::default() }, Document::default());
        let list = format!(r#"{{"n":[{}]}}"#, vec!["1"; 100].join(","));
        formats::json::parse(list.as_bytes(), &limits, &mut document).unwrap();
        let filter = Filter::compile(expression).unwrap();
        assert_eq!(take_spent(), 0, "what came before was taken");
        let context =
            Context { id: "", customer: "", pipeline: "", revision: "", time_ms: 0, headers: Headers::default() };
        let mut work = Work { document: &mut document, context, limits: &limits };
        let _ = filter.apply(&mut work);
        take_spent()
    }

    #[test]
    fn costly_expressions_are_counted_also_when_they_fail_and_cheap_ones_are_not() {
        let nested = "n.all(a, n.all(b, n.all(c, a + b + c > 0)))";
        assert_eq!(spent_by("n[0] == 1", 100_000), 0);
        assert!(spent_by(nested, 10_000_000) > 1_000_000);
        assert_eq!(spent_by(nested, 50_000), 50_000, "all that it had");
    }
}
