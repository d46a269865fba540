//! Topics: filters of an in, and the topic of an out with placeholders: `sensors/{device.id}/state`.
//!
//! A placeholder is a field path in braces. Its value is a part of a level: it has no `/`, and none of what would be a
//! wildcard to a subscriber.

use std::borrow::Cow;

use message::{Code, Fault, Path};

use crate::placeholders::{Parts, Wrong};

/// Bytes of a topic; the protocol allows 65,535, which no broker's log is fit for.
const MAX_LENGTH: usize = 1024;

#[derive(Clone, Debug)]
pub struct TopicTemplate {
    text: Box<str>,
    parts: Parts,
}

impl TopicTemplate {
    /// # Errors
    /// `config/invalid-value`, with the column.
    pub fn parse(text: &str) -> Result<TopicTemplate, Fault> {
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(Wrong { at: 0, reason: "has to have 1 to 1,024 bytes" }.fault("the topic", text));
        }
        if text.starts_with('$') {
            return Err(Wrong { at: 0, reason: "starts with `$`, which is the broker's own" }.fault("the topic", text));
        }
        let parts = Parts::parse(text, 0, check_literal).map_err(|wrong| wrong.fault("the topic", text))?;
        Ok(TopicTemplate { text: text.into(), parts })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether every message goes to the same topic.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.parts.paths().next().is_none()
    }

    /// The topic of one message. `value` gives a field's text, or `None` when the message has no such field or it is
    /// no scalar.
    ///
    /// # Errors
    /// `mqtt/topic-invalid` names the field.
    pub fn render<'a>(&self, value: impl FnMut(&Path) -> Option<Cow<'a, str>>) -> Result<String, Fault> {
        let mut topic = String::with_capacity(self.text.len() + 32);
        self.parts.render(&mut topic, Code::MqttTopicInvalid, value, |topic, text| {
            check_value(text)?;
            topic.push_str(text);
            Ok(())
        })?;
        check_name(&topic)?;
        Ok(topic)
    }
}

/// A finished topic, wherever it was made.
///
/// # Errors
/// `mqtt/topic-invalid`.
pub(super) fn check_name(topic: &str) -> Result<(), Fault> {
    let reason = if topic.is_empty() || topic.len() > MAX_LENGTH {
        "the topic has to have 1 to 1,024 bytes"
    } else if topic.starts_with('$') {
        "the topic starts with `$`, which is the broker's own"
    } else if topic.contains(['+', '#']) || topic.chars().any(char::is_control) {
        "the topic has wildcards or control characters"
    } else {
        return Ok(());
    };
    Err(Fault::new(Code::MqttTopicInvalid, reason))
}

fn check_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("the value is empty");
    }
    if text.contains(['/', '+', '#']) {
        return Err("the value has one of `/`, `+`, `#`");
    }
    if text.chars().any(char::is_control) {
        return Err("the value has control characters");
    }
    Ok(())
}

fn check_literal(text: &str) -> Result<(), Wrong> {
    for (at, character) in text.char_indices() {
        let reason = match character {
            '+' | '#' => "has a wildcard; an out publishes to one topic",
            '}' => "has a `}` without its `{`",
            _ if character.is_control() => "has control characters",
            _ => continue,
        };
        return Err(Wrong { at, reason });
    }
    Ok(())
}

/// What may be subscribed to: `+` stands for one level, `#` for all that follow.
pub(super) fn check_filter(filter: &str) -> Result<(), String> {
    let refused = |reason: &str| Err(format!("the topic {filter:?} {reason}"));
    if filter.is_empty() || filter.len() > MAX_LENGTH {
        return refused("has to have 1 to 1,024 bytes");
    }
    if filter.chars().any(char::is_control) {
        return refused("has control characters");
    }
    if filter.starts_with("$share/") {
        return refused("is shared; write the group as `share`");
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return refused("has a wildcard that is no level of its own");
        }
        if level == "#" && levels.peek().is_some() {
            return refused("has `#` before its end");
        }
    }
    Ok(())
}

/// Whether one topic can fit both filters: then a broker may send its messages once for each.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let never_meet = |wild: &str, fixed: &str| {
        let is_own = wild.starts_with(['+', '#']) && fixed.starts_with('$');
        // Of `/#`, one level is the empty topic, which nobody can publish to.
        is_own || (wild == "+" && fixed == "/#")
    };
    if never_meet(one, other) || never_meet(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(level), Some(beside)) if level == "+" || beside == "+" || level == beside => {}
            _ => return false,
        }
    }
}

/// Whether a filter has each topic that comes of a template, whatever its fields hold.
pub(super) fn always_matches(filter: &str, template: &str) -> bool {
    // No filter has this level but those that have any.
    let any = |_: &Path| Some(Cow::from("\u{f8ff}\u{f8ff}"));
    let topic = TopicTemplate::parse(template).and_then(|template| template.render(any));
    topic.is_ok_and(|topic| matches(filter, &topic))
}

fn matches(filter: &str, topic: &str) -> bool {
    // The broker's own topics fit no wildcard.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            // What it stands below is a part of it.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filters_have_wildcards_as_levels_of_their_own() {
        for fine in ["a", "/", "a/b", "+/b/+", "a/#", "#", "$SYS/x", "sensoren/küche"] {
            assert!(check_filter(fine).is_ok(), "{fine}");
        }
        for bad in ["", "a+", "a/b#", "#/a", "a/#/b", "a\nb", "a\0", "$share/g/a"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_topic_has_no_wildcards_and_its_fields_no_levels() {
        for (bad, column) in [("", 1), ("a/+", 3), ("#", 1), ("a{", 2), ("a}", 2), ("a/{b..c}", 6), ("$SYS/x", 1)] {
            let fault = TopicTemplate::parse(bad).unwrap_err();
            assert_eq!((fault.code(), fault.place().column), (Code::ConfigInvalidValue, Some(column)), "{bad}");
        }
        let template = TopicTemplate::parse("sensors/{device[\"a}b\"]}/state").unwrap();
        assert_eq!(template.render(|_| Some("d 1".into())).unwrap(), "sensors/d 1/state");
        for bad in [None, Some(""), Some("a/b"), Some("+"), Some("#"), Some("a\0"), Some("a\r\n")] {
            let fault = template.render(|_| bad.map(Cow::from)).unwrap_err();
            assert_eq!(fault.code(), Code::MqttTopicInvalid, "{bad:?}");
            assert!(fault.place().field.is_some());
        }
        let whole = TopicTemplate::parse("{a}").unwrap();
        assert!(whole.render(|_| Some("$SYS".into())).is_err());
        assert!(whole.render(|_| Some("x".repeat(2000).into())).is_err());
    }

    #[test]
    fn a_filter_that_has_every_topic_of_an_out_is_found() {
        for (filter, template) in
            [("a", "a"), ("#", "a/{b}"), ("a/#", "a"), ("a/#", "a/b/{c}"), ("a/+/c", "a/x{b}/c"), ("+", "{b}")]
        {
            assert!(always_matches(filter, template), "{filter} {template}");
        }
        for (filter, template) in
            [("a", "b"), ("a/b", "a/{b}"), ("a/+", "a"), ("a/+", "a/b/c"), ("a/b/#", "a/{b}/c"), ("a/b", "a")]
        {
            assert!(!always_matches(filter, template), "{filter} {template}");
        }
    }

    /// All texts of one to three of these levels.
    fn all(levels: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = levels.iter().map(ToString::to_string).collect();
        let mut longest = texts.clone();
        for _ in 0..2 {
            longest =
                longest.iter().flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}"))).collect();
            texts.extend(longest.clone());
        }
        texts.retain(|text| !text.is_empty());
        texts
    }

    #[test]
    fn filters_overlap_when_a_topic_fits_both_and_never_otherwise() {
        let mut filters = all(&["a", "", "$x", "+", "#"]);
        filters.retain(|filter| check_filter(filter).is_ok());
        let topics = all(&["a", "b", "", "$x"]);
        for one in &filters {
            let fit: Vec<&String> = topics.iter().filter(|topic| matches(one, topic)).collect();
            for other in &filters {
                let expected = fit.iter().any(|topic| matches(other, topic));
                assert_eq!(overlap(one, other), expected, "{one} {other}");
            }
        }
        for (one, other) in [("s/#", "s/+/state"), ("s/#", "s"), ("#", "+/a"), ("+/a", "b/+")] {
            assert!(overlap(one, other), "{one} {other}");
        }
        for (one, other) in [("#", "$SYS/#"), ("s/+", "s/a/b"), ("s/+", "s"), ("s/a", "s/b")] {
            assert!(!overlap(one, other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn filters_overlap_in_any_order_and_with_each_topic_of_theirs(
            [one, other] in [0, 1].map(|_| "(\\$?[ab+]?/){0,3}(a|b|\\+|#)"),
            topic in "([ab]?/){0,3}(a|b)",
        ) {
            prop_assert_eq!(overlap(&one, &other), overlap(&other, &one));
            prop_assert!(!matches(&one, &topic) || !matches(&other, &topic) || overlap(&one, &other));
            prop_assert_eq!(overlap(&one, &topic), matches(&one, &topic));
        }

        #[test]
        fn no_value_leaves_its_level(value in any::<String>()) {
            let template = TopicTemplate::parse("a/{b}/c").unwrap();
            if let Ok(topic) = template.render(|_| Some(value.as_str().into())) {
                prop_assert_eq!(topic.split('/').count(), 3);
                prop_assert!(!topic.contains(['+', '#', '\0', '\r', '\n']));
            }
        }

        #[test]
        fn no_text_is_too_much_for_the_parsers(text in any::<String>()) {
            let _ = TopicTemplate::parse(&text);
            let _ = check_filter(&text);
        }
    }
}
