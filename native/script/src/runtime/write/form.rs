//! Objects that say their JSON form themselves, by `toJSON` or as wrapped primitives; and those that
//! have none.

use super::{At, Refusal, Writer, bad};
use crate::runtime::raw::{Owned, Tag, Thrown};

/// The engine's numbers of the classes that read as JSON; see its table of classes.
pub(in crate::runtime) mod class {
    pub const OBJECT: u32 = 1;
    pub const NUMBER: u32 = 4;
    pub const STRING: u32 = 5;
    pub const BOOLEAN: u32 = 6;
    pub const DATE: u32 = 10;
}

impl Writer<'_> {
    /// The result of `toJSON`, if the object has one. Called as `JSON.stringify` does, with the key under which
    /// the value stands. Every object is asked, whatever its class: the result is judged, not the object.
    pub(super) fn own_form(&mut self, value: &Owned, at: At<'_>) -> Result<Option<Owned>, Refusal> {
        // To look `toJSON` up may run a getter or a trap.
        self.has_run = true;
        let method = value.get(&self.to_json)?;
        if !method.is_function() {
            return Ok(None);
        }
        let replaced = value.call_method(&method, &at.key(self.js)?)?;
        if replaced.tag() == Tag::Null && value.class() == class::DATE && self.is_of_dates(&method)? {
            return bad("an invalid date is no JSON value");
        }
        Ok(Some(replaced))
    }

    /// The node of what `toJSON` gave, which is not asked for its own `toJSON`.
    pub(super) fn replacement(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        if value.tag() != Tag::Object {
            return self.leaf_of(value);
        }
        match value.class() {
            class::NUMBER | class::STRING | class::BOOLEAN => self.wrapped(value),
            _ if self.has_members(value) => self.container(value, None).map(Some),
            _ if value.is_proxy() => bad("toJSON gave a proxy, which is no JSON value"),
            _ => bad(format!("toJSON gave `{}`, which is no JSON value", value.class_name())),
        }
    }

    /// The node of an object without `toJSON` that is neither a plain object nor a list: a wrapped primitive.
    pub(super) fn special(&mut self, value: &Owned) -> Result<Option<u32>, Refusal> {
        match value.class() {
            class::NUMBER | class::STRING | class::BOOLEAN => self.wrapped(value),
            _ if value.is_proxy() => bad("a proxy is no JSON value; make it a plain object or a list"),
            _ if value.is_promise() => {
                bad("a promise is no JSON value; `await` it, or several with `await Promise.all(...)`")
            }
            _ if value.is_function() => bad("a function is no JSON value"),
            _ => {
                let class = value.class_name();
                bad(format!("`{class}` is no JSON value; make it a plain object or a list"))
            }
        }
    }

    /// Whether it is a plain object, a view or a list: its members or elements are written.
    pub(super) fn has_members(&self, value: &Owned) -> bool {
        value.is_array() || value.class() == class::OBJECT || value.class() == self.message.realm.class
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
