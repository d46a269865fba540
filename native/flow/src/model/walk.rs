//! Walks a value along the schema and collects every fault at its pointer.
//!
//! It knows the part of JSON Schema that schemars makes of our types: type, properties, required,
//! additionalProperties, propertyNames, items, bounds, enum and const, oneOf and anyOf (choice.rs),
//! `$ref`, and our formats (format.rs). A test holds that it accepts exactly what the types accept.

use message::{Code, Fault};
use serde_json::{Map, Value};

use super::format;
use super::hint::{instead, quote};

/// More faults than a person reads at a time.
const MOST: usize = 50;

/// Every fault of `value`, in its order; none when the types will take it. `root` resolves references.
pub fn walk(root: &Value, schema: &Value, value: &Value) -> Vec<Fault> {
    let mut walk = Walk { root, pointer: String::new(), faults: Vec::new() };
    walk.check(schema, value);
    walk.faults.truncate(MOST);
    walk.faults
}

pub(super) struct Walk<'s> {
    pub(super) root: &'s Value,
    pointer: String,
    faults: Vec<Fault>,
}

impl<'s> Walk<'s> {
    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST {
            self.faults.push(fault.at_pointer(self.pointer.clone()));
        }
    }

    /// Goes one step down for the length of `inside`.
    pub(super) fn below(&mut self, token: &str, inside: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        inside(self);
        self.pointer.truncate(length);
    }

    /// What to call the value in a sentence: its key, or its place in a list.
    pub(super) fn subject(&self) -> String {
        match self.pointer.rsplit_once('/') {
            None => "the pipeline file".to_owned(),
            Some((_, token)) if token.bytes().all(|b| b.is_ascii_digit()) => format!("item {token}"),
            Some((_, token)) => quote(&token.replace("~1", "/").replace("~0", "~")),
        }
    }

    pub(super) fn resolve(&self, schema: &'s Value) -> &'s Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
        target.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }

    pub(super) fn check(&mut self, schema: &'s Value, value: &Value) {
        let schema = self.resolve(schema);
        for several in ["oneOf", "anyOf"] {
            if let Some(branches) = schema.get(several).and_then(Value::as_array) {
                return self.choose(branches, value);
            }
        }
        let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return };
        match (wanted, value) {
            ("object", Value::Object(map)) => self.object(schema, map),
            ("array", Value::Array(items)) => self.list(schema, items),
            ("string", Value::String(text)) => self.text(schema, text),
            ("integer", Value::Number(number)) if !number.is_f64() => self.integer(schema, number),
            ("boolean", Value::Bool(_)) => {}
            // `stdout:` with nothing behind it reads as null.
            ("object", Value::Null) if schema.get("required").is_none() => self.wrong_type("a mapping, `{}`", value),
            _ => self.wrong_type(words(wanted), value),
        }
    }

    pub(super) fn wrong_type(&mut self, wanted: &str, value: &Value) {
        let reason = format!("{} wants {wanted}, not {}", self.subject(), found(value));
        self.fault(Fault::new(Code::ConfigWrongType, reason));
    }

    pub(super) fn unknown_key<'w>(&mut self, key: &str, known: impl IntoIterator<Item = &'w str> + Clone) {
        let reason = format!("unknown key {}{}", quote(key), instead(key, known));
        self.below(key, |walk| walk.fault(Fault::new(Code::ConfigUnknownKey, reason)));
    }

    pub(super) fn object(&mut self, schema: &'s Value, map: &Map<String, Value>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.as_bool() != Some(false));
        let key_format = schema.pointer("/propertyNames/format").and_then(Value::as_str);
        self.count(schema, map.len(), ["minProperties", "maxProperties"], "entry", "entries");
        for (key, value) in map {
            match (properties.and_then(|known| known.get(key)), others) {
                (Some(schema), _) => self.below(key, |walk| walk.check(schema, value)),
                (None, Some(schema)) => self.below(key, |walk| {
                    if let Some(Err(fault)) = key_format.map(|format| format::check(format, key)) {
                        walk.fault(fault);
                    }
                    walk.check(schema, value);
                }),
                (None, None) => {
                    let known = properties.into_iter().flat_map(Map::keys).map(String::as_str);
                    let missing = known.filter(|known| !map.contains_key(*known));
                    self.unknown_key(key, missing);
                }
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(key) = key.as_str().filter(|key| !map.contains_key(*key)) {
                let reason = format!("{} lacks the key `{key}`", self.subject());
                self.fault(Fault::new(Code::ConfigMissingKey, reason));
            }
        }
    }

    fn list(&mut self, schema: &'s Value, items: &[Value]) {
        self.count(schema, items.len(), ["minItems", "maxItems"], "item", "items");
        if let Some(schema) = schema.get("items") {
            for (at, item) in items.iter().enumerate().take(10_000) {
                self.below(&at.to_string(), |walk| walk.check(schema, item));
            }
        }
    }

    fn text(&mut self, schema: &'s Value, text: &str) {
        let words: Vec<&str> = allowed_words(schema).collect();
        if !words.is_empty() {
            return self.word(&words, text);
        }
        self.count(schema, text.chars().count(), ["minLength", "maxLength"], "character", "characters");
        if let Some(Err(fault)) = schema.get("format").and_then(Value::as_str).map(|f| format::check(f, text)) {
            self.fault(fault);
        }
    }

    pub(super) fn word(&mut self, words: &[&str], text: &str) {
        if !words.contains(&text) {
            let reason =
                format!("{} cannot be {}{}", self.subject(), quote(text), instead(text, words.iter().copied()));
            self.fault(Fault::new(Code::ConfigInvalidValue, reason));
        }
    }

    fn integer(&mut self, schema: &'s Value, number: &serde_json::Number) {
        if schema.get("format").and_then(Value::as_str) == Some("version") {
            if let Err(fault) = format::check_version(number.as_u64().unwrap_or(u64::MAX)) {
                self.fault(fault);
            }
            return;
        }
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let (low, high) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i64::MAX));
        if !number.as_i64().is_some_and(|number| (low..=high).contains(&number)) {
            let reason = format!("{} has to be from {low} to {high}, not {number}", self.subject());
            self.fault(Fault::new(Code::ConfigInvalidValue, reason));
        }
    }

    fn count(&mut self, schema: &'s Value, count: usize, bounds: [&str; 2], one: &str, many: &str) {
        let [low, high] = bounds.map(|bound| schema.get(bound).and_then(Value::as_u64));
        let count = count as u64;
        let say = |n: u64| format!("{n} {}", if n == 1 { one } else { many });
        let reason = match (low, high) {
            (Some(low), _) if count < low => format!("{} wants at least {}", self.subject(), say(low)),
            (_, Some(high)) if count > high => format!("{} takes at most {}", self.subject(), say(high)),
            _ => return,
        };
        self.fault(Fault::new(Code::ConfigInvalidValue, reason));
    }
}

/// The words of an `enum` or `const`.
pub(super) fn allowed_words(schema: &Value) -> impl Iterator<Item = &str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str)
}

/// A schema's type in the words of someone who writes YAML.
pub(super) fn words(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "another value",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
