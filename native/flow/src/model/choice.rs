//! Choices: `oneOf` and `anyOf`. A person is told about the branch they meant, not about all.
//!
//! A branch is *tagged* when it is a mapping with one required key (`filter: ...`), *open* when it
//! is a mapping of names, else it is known by its type or by its words.

use message::{Code, Fault};
use serde_json::{Map, Value};

use super::hint::{instead, nearest, quote};
use super::walk::{Walk, allowed_words, words};

impl<'s> Walk<'s> {
    pub(super) fn choose(&mut self, branches: &'s [Value], value: &Value) {
        let mut flat = Vec::new();
        self.flatten(branches, &mut flat);
        match value {
            Value::Object(map) => self.choose_mapping(&flat, map, value),
            Value::String(text) => self.choose_text(&flat, text, value),
            _ => match flat.iter().find(|branch| fits(branch, value)) {
                Some(branch) => self.check(branch, value),
                None => self.none_fits(&flat, value),
            },
        }
    }

    /// Choices within choices become one.
    fn flatten(&self, branches: &'s [Value], into: &mut Vec<&'s Value>) {
        for branch in branches.iter().map(|branch| self.resolve(branch)) {
            match branch.get("oneOf").or_else(|| branch.get("anyOf")).and_then(Value::as_array) {
                Some(inner) => self.flatten(inner, into),
                None => into.push(branch),
            }
        }
    }

    fn choose_mapping(&mut self, flat: &[&'s Value], map: &Map<String, Value>, value: &Value) {
        let mappings: Vec<&Value> = flat.iter().copied().filter(|branch| is_type(branch, "object")).collect();
        let tagged: Vec<(&str, &'s Value)> = mappings.iter().filter_map(|b| tag(b).map(|tag| (tag, *b))).collect();
        let tags = || tagged.iter().map(|(tag, _)| *tag);
        let named: Vec<&(&str, &Value)> = tagged.iter().filter(|(tag, _)| map.contains_key(*tag)).collect();
        let open = mappings.iter().copied().find(|branch| tag(branch).is_none());
        match (named.as_slice(), open) {
            ([], Some(open)) if !is_mistyped_tag(map, &tags().collect::<Vec<_>>()) => self.check(open, value),
            ([], _) if tagged.is_empty() => self.none_fits(flat, value),
            ([], _) => self.no_tag(map, tags().collect()),
            ([(tag, _)], Some(_)) if map.len() > 1 => {
                let reason =
                    format!("{} holds either one connector or names of outs; `{tag}` is a connector", self.subject());
                self.fault(Fault::new(Code::ConfigInvalidValue, reason));
            }
            // One branch: its own check reports a second key.
            ([(_, branch)], _) => self.check(branch, value),
            (several, _) => {
                let list: Vec<String> = several.iter().map(|(tag, _)| format!("`{tag}`")).collect();
                let reason = format!("{} takes one of {}, not several", self.subject(), list.join(" and "));
                self.fault(Fault::new(Code::ConfigInvalidValue, reason));
            }
        }
    }

    fn no_tag(&mut self, map: &Map<String, Value>, tags: Vec<&'s str>) {
        if map.is_empty() {
            let reason = format!("{} lacks its key{}", self.subject(), instead("", tags));
            return self.fault(Fault::new(Code::ConfigMissingKey, reason));
        }
        for key in map.keys() {
            self.unknown_key(key, tags.iter().copied());
        }
    }

    fn choose_text(&mut self, flat: &[&'s Value], text: &str, value: &Value) {
        let texts: Vec<&Value> = flat.iter().copied().filter(|branch| is_type(branch, "string")).collect();
        let free = texts.iter().copied().find(|branch| allowed_words(branch).next().is_none());
        let words: Vec<&str> = texts.iter().copied().flat_map(allowed_words).collect();
        match free {
            Some(free) if !words.contains(&text) => self.check(free, value),
            _ if !words.is_empty() => self.word(&words, text),
            _ => self.lone_tag(flat, text, value),
        }
    }

    /// `- filter` or `out: stdout`: the word of a mapping, without its colon.
    fn lone_tag(&mut self, flat: &[&'s Value], text: &str, value: &Value) {
        match nearest(text, flat.iter().filter_map(|branch| tag(branch))) {
            Some(meant) => {
                let reason =
                    format!("{} wants a mapping such as `{meant}: ...`, not the text {}", self.subject(), quote(text));
                self.fault(Fault::new(Code::ConfigWrongType, reason));
            }
            None => self.none_fits(flat, value),
        }
    }

    fn none_fits(&mut self, flat: &[&'s Value], value: &Value) {
        let mut wanted: Vec<&str> = Vec::new();
        for kind in flat.iter().filter_map(|branch| branch.get("type").and_then(Value::as_str)) {
            if !wanted.contains(&words(kind)) {
                wanted.push(words(kind));
            }
        }
        self.wrong_type(&wanted.join(" or "), value);
    }
}

/// The one required key of a mapping that has no other.
fn tag(branch: &Value) -> Option<&str> {
    let only = branch.get("properties").and_then(Value::as_object).filter(|keys| keys.len() == 1)?;
    let required = branch.get("required").and_then(Value::as_array)?;
    required.first().and_then(Value::as_str).filter(|key| only.contains_key(*key))
}

/// The only name, which is nearly a tag, or holds nothing that is: what stands there are the options of a tag that is
/// none, not a further mapping with a tag.
fn is_mistyped_tag(map: &Map<String, Value>, tags: &[&str]) -> bool {
    let looks_like = |key: &str| nearest(key, tags.iter().copied()).is_some();
    let holds_tag = |value: &Value| value.as_object().is_some_and(|inner| tags.iter().any(|t| inner.contains_key(*t)));
    let is_tagged = |value: &Value| value.as_object().is_none_or(|inner| inner.keys().any(|key| looks_like(key)));
    map.len() == 1 && map.iter().any(|(key, value)| !holds_tag(value) && (looks_like(key) || !is_tagged(value)))
}

fn is_type(branch: &Value, name: &str) -> bool {
    branch.get("type").and_then(Value::as_str) == Some(name)
}

fn fits(branch: &Value, value: &Value) -> bool {
    match value {
        Value::Array(_) => is_type(branch, "array"),
        Value::Bool(_) => is_type(branch, "boolean"),
        Value::Number(_) => is_type(branch, "integer"),
        _ => false,
    }
}
