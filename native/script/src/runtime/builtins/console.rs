//! `console`: values as one line of text, without running code of the script but what an error says of itself.

use super::{Arguments, Host};
use crate::runtime::raw::{Owned, Tag, Thrown};
use crate::runtime::write::class;
use crate::said::{Level, Line, MAX_LINE_BYTES, MAX_LINES};

/// Of an object or a list inside of the values, how deep and how many members of each are shown.
const DEPTH: usize = 4;
const MEMBERS: usize = 100;

/// Characters of a text that is looked at.
const LONGEST: i64 = 16 << 10;

/// `say(level, stack, values...)`: keeps the line, or counts it.
pub fn say(host: &Host, arguments: &Arguments<'_>) -> Result<Owned, Thrown> {
    let (undefined, level) = (host.js().undefined(), arguments.get(0).tag());
    let mut said = host.said.take();
    if said.lines.len() >= MAX_LINES {
        said.left_out = said.left_out.saturating_add(1);
        host.said.replace(said);
        return Ok(undefined);
    }
    host.said.replace(said);
    let mut shown = Shown::default();
    for index in 2..arguments.values.len() {
        if index > 2 {
            shown.push(" ");
        }
        shown.value(&arguments.get(index), 0)?;
    }
    let level = match level {
        Tag::Int(level) => usize::try_from(level).ok().and_then(|level| Level::ALL.get(level).copied()),
        _ => None,
    };
    let line = host.line_of(&arguments.text(1)?);
    host.said.borrow_mut().lines.push(Line { level: level.unwrap_or(Level::Log), text: shown.text, line });
    Ok(undefined)
}

/// A line that is being written. What there is no room for is left out.
#[derive(Default)]
struct Shown {
    text: String,
    is_full: bool,
}

impl Shown {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            if self.is_full {
                return;
            }
            if self.text.len() + 16 > MAX_LINE_BYTES {
                self.text.push('…');
                self.is_full = true;
            } else if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                self.text.extend(c.escape_default());
            } else {
                self.text.push(c);
            }
        }
    }

    fn value(&mut self, value: &Owned, depth: usize) -> Result<(), Thrown> {
        if self.is_full {
            return Ok(());
        }
        match value.tag() {
            Tag::Undefined => self.push("undefined"),
            Tag::Null => self.push("null"),
            Tag::Bool(value) => self.push(if value { "true" } else { "false" }),
            Tag::Int(value) => self.push(&value.to_string()),
            Tag::Text => self.text(value, depth > 0)?,
            Tag::Symbol => self.push("[symbol]"),
            Tag::Float(_) | Tag::BigInt => {
                let text = value.to_text()?.with_text(|text| String::from_utf8_lossy(text).into_owned())?;
                self.push(&text);
                if value.tag() == Tag::BigInt {
                    self.push("n");
                }
            }
            Tag::Object => self.object(value, depth)?,
            Tag::Other => self.push("?"),
        }
        Ok(())
    }

    fn text(&mut self, value: &Owned, is_quoted: bool) -> Result<(), Thrown> {
        let length = value.length()?;
        if length > LONGEST {
            self.push(&format!("[a text of {length} characters]"));
            return Ok(());
        }
        let text = value.with_text(|text| String::from_utf8_lossy(text).into_owned())?;
        if is_quoted {
            self.push(&format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
        } else {
            self.push(&text);
        }
        Ok(())
    }

    fn object(&mut self, value: &Owned, depth: usize) -> Result<(), Thrown> {
        if value.is_proxy() {
            self.push("[proxy]");
        } else if value.is_function() {
            self.push("[function]");
        } else if value.is_error() {
            self.error(value)?;
        } else if value.is_array() {
            if depth == DEPTH {
                self.push("[…]");
                return Ok(());
            }
            self.list(value, depth)?;
        } else if value.class() == class::OBJECT || value.class_name() == "Object" {
            if depth == DEPTH {
                self.push("{…}");
                return Ok(());
            }
            self.members(value, depth)?;
        } else {
            self.push(&format!("[{}]", value.class_name()));
        }
        Ok(())
    }

    fn list(&mut self, value: &Owned, depth: usize) -> Result<(), Thrown> {
        self.push("[");
        let length = value.length()?;
        for index in 0..length {
            if index > 0 {
                self.push(", ");
            }
            if self.is_full {
                return Ok(());
            }
            if index == MEMBERS as i64 {
                self.push(&format!("… {} more", length - index));
                break;
            }
            match value.own_item(u32::try_from(index).unwrap_or(u32::MAX))? {
                Some(item) => self.value(&item, depth + 1)?,
                None => self.push("[getter or hole]"),
            }
        }
        self.push("]");
        Ok(())
    }

    fn members(&mut self, value: &Owned, depth: usize) -> Result<(), Thrown> {
        self.push("{");
        for (index, key) in value.keys()?.enumerate() {
            if index > 0 {
                self.push(", ");
            }
            if self.is_full {
                return Ok(());
            }
            if index == MEMBERS {
                self.push("…");
                break;
            }
            key.with_text(|name| self.push(&String::from_utf8_lossy(name)))?;
            self.push(": ");
            match value.own_data(&key)? {
                Some(member) => self.value(&member, depth + 1)?,
                None => self.push("[getter]"),
            }
        }
        self.push("}");
        Ok(())
    }

    /// As it would be said of one that was thrown.
    fn error(&mut self, value: &Owned) -> Result<(), Thrown> {
        for (name, after) in [(c"name", ": "), (c"message", "")] {
            let part = value.get_named(name)?;
            if part.tag() == Tag::Text {
                self.text(&part, false)?;
                self.push(after);
            }
        }
        Ok(())
    }
}
