//! `--name value` and `--flag`.

use std::collections::HashMap;

pub struct Arguments(HashMap<String, String>);

impl Arguments {
    pub fn parse(given: impl Iterator<Item = String>) -> Arguments {
        let mut values = HashMap::new();
        let mut given = given.peekable();
        while let Some(name) = given.next() {
            let name = name.strip_prefix("--").unwrap_or_else(|| panic!("expected an option, got {name}")).to_owned();
            let value = given.next_if(|next| !next.starts_with("--")).unwrap_or_default();
            values.insert(name, value);
        }
        Arguments(values)
    }

    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("--{name} is missing"))
    }

    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str, default: usize) -> usize {
        self.0.get(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("--{name} wants a number")))
    }

    pub fn flag(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
