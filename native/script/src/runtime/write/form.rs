//! Objects that say their JSON form themselves, by `toJSON` or as wrapped primitives; and those that
//! have none.

use super::{Refusal, Writer, bad};
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
    /// Calls `toJSON` as `JSON.stringify` does.
    pub(super) fn own_form(&mut self, value: &Owned) -> Result<Option<Owned>, Refusal> {
        let method = value.get(&self.to_json)?;
        if method.tag() == Tag::Object && method.is_function() {
            Ok(Some(value.call_method(&method)?))
        } else {
            Ok(None)
        }
    }

    /// What `toJSON` gave is not asked for its own `toJSON`.
    pub(super) fn replacement(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        if value.tag() != Tag::Object {
            return self.plain(value);
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
    pub(super) fn special(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        // Asking one of these would run its traps.
        if value.is_proxy() {
            return bad("a proxy is no JSON value; make it a plain object or a list");
        }
        if value.is_promise() {
            return bad("a promise is no JSON value; write the script without `async`");
        }
        let method = value.get(&self.to_json)?;
        if method.is_function() {
            let replaced = value.call_method(&method)?;
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

    fn wrapped(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        let method = value.get_named(c"valueOf")?;
        if !method.is_function() {
            return bad("an object without a usable valueOf");
        }
        let primitive = value.call_method(&method)?;
        if primitive.tag() == Tag::Object {
            return bad("a wrapped value that is no JSON value");
        }
        self.plain(&primitive)
    }
}
