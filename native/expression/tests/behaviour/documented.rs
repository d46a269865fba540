//! The examples of `docs/expressions.md`: every line of its `cel` blocks is run.

use crate::support::{document, value};

const PAGE: &str = include_str!("../../../../docs/expressions.md");

/// The contents of the fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(fence.as_str()).skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

#[test]
fn every_example_gives_what_it_says() {
    let message = blocks("json")[0];
    let mut count = 0;
    for line in blocks("cel").into_iter().flat_map(str::lines).filter(|line| !line.trim().is_empty()) {
        let (expression, expected) = line.rsplit_once("//").unwrap_or_else(|| panic!("no result: {line}"));
        let (expression, expected) = (expression.trim(), expected.trim());
        let found = match value(expression, message) {
            // A copied part keeps the message's blanks; `Value` shows it without.
            Ok(json) if json.starts_with(['[', '{']) => {
                format!("{:?}", document(&json).root()).replace(", ", ",").replace(": ", ":")
            }
            Ok(json) => json,
            Err(fault) => fault.code().to_string().trim_start_matches("set/").to_owned(),
        };
        assert_eq!(found, expected, "{expression}");
        count += 1;
    }
    assert!(count > 40, "only {count} examples were found");
}

#[test]
fn the_example_of_a_fault_is_real() {
    let fault = crate::support::holds("order.total > 100.0", r#"{"order":{"total":"150"}}"#).unwrap_err();
    assert!(PAGE.contains(&fault.to_string()), "{fault}");
}

#[test]
fn every_code_of_a_failing_filter_is_listed() {
    for code in message::Code::ALL.iter().map(ToString::to_string).filter(|code| code.starts_with("filter/")) {
        assert!(PAGE.contains(&format!("`{code}`")), "{code}");
    }
}
