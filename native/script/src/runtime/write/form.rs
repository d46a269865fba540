//! Objects that say their JSON form themselves, by `toJSON` or as wrapped primitives; and those that
//! have none.

use super::{At, Refusal, Writer, bad};
use crate::runtime::raw::{Owned, Tag, Thrown};

/// The engine's numbers of the classes that read as JSON; see its table of classes.
pub(super) mod class {
    pub const OBJECT: u32 = 1;
    pub const NUMBER: u32 = 4;
    pub const STRING: u32 = 5;
    pub const BOOLEAN: u32 = 6;
    pub const DATE: u32 = 10;
}

impl Writer<'_> {
    /// Calls `toJSON` as `JSON.stringify` does, with the key under which the value stands.
    pub(super) fn own_form(&mut self, value: &Owned, at: At<'_>) -> Result<Option<Owned>, Refusal> {
        let method = value.get(&self.to_json)?;
        if method.tag() == Tag::Object && method.is_function() {
            Ok(Some(self.call_form(value, &method, at)?))
        } else {
            Ok(None)
        }
    }

    fn call_form(&mut self, value: &Owned, method: &Owned, at: At<'_>) -> Result<Owned, Thrown> {
        self.has_run = true;
        value.call_method(method, &at.key(self.js)?)
    }

    /// What `toJSON` gave is not asked for its own `toJSON`.
    pub(super) fn replacement(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        if value.tag() != Tag::Object {
            return self.leaf_of(value);
        }
        match value.class() {
            class::NUMBER | class::STRING | class::BOOLEAN => self.wrapped(value),
            class if value.is_array() || class == class::OBJECT || class == self.message.realm.class => {
                self.container(value, None).map(Some)
            }
            _ => bad(format!("toJSON gave `{}`, which is no JSON value", value.class_name())),
        }
    }

    /// Objects of the engine's other classes: those with `toJSON`, such as dates, and wrapped primitives
    /// have a JSON form.
    pub(super) fn special(&mut self, value: &Owned, at: At<'_>) -> Result<Option<u32>, Refusal> {
        // Asking one of these would run its traps.
        if value.is_proxy() {
            return bad("a proxy is no JSON value; make it a plain object or a list");
        }
        if value.is_promise() {
            return bad("a promise is no JSON value; write the script without `async`");
        }
        let method = value.get(&self.to_json)?;
        if method.is_function() {
            let replaced = self.call_form(value, &method, at)?;
            if replaced.tag() == Tag::Null && value.class() == class::DATE && self.is_of_dates(&method)? {
                return bad("an invalid date is no JSON value");
            }
            return self.replacement(&replaced);
        }
        match value.class() {
            class::NUMBER | class::STRING | class::BOOLEAN => self.wrapped(value),
            _ if value.is_function() => bad("a function is no JSON value"),
            _ => {
                let class = value.class_name();
                bad(format!("`{class}` is no JSON value; make it a plain object or a list"))
            }
        }
    }

    /// Whether it is the dates' own `toJSON`, which gives null for an invalid one; one that a script
    /// wrote means its null.
    fn is_of_dates(&self, method: &Owned) -> Result<bool, Thrown> {
        let prototype = self.js.globals().get_named(c"Date")?.get_named(c"prototype")?;
        Ok(prototype.get(&self.to_json)?.identity() == method.identity())
    }

    /// Numbers and strings are asked, as by `Number(x)` and `String(x)`; a boolean is what was wrapped.
    fn wrapped(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        self.has_run = true;
        let primitive = match value.class() {
            class::NUMBER => value.to_number()?,
            class::STRING => value.to_text()?,
            _ => {
                let prototype = self.js.globals().get_named(c"Boolean")?.get_named(c"prototype")?;
                value.call_method(&prototype.get_named(c"valueOf")?, &self.js.undefined())?
            }
        };
        self.leaf_of(&primitive)
    }
}
