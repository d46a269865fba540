//! What went wrong with one message or one configuration: a code, a reason, and a place.

use std::fmt;

use crate::Code;

/// Where it went wrong. Every part is optional; what is known is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A file, as the user named it.
    pub file: Option<String>,
    /// JSON pointer into the pipeline file, such as `/steps/1/filter`.
    pub pointer: Option<String>,
    /// 1-based.
    pub line: Option<u32>,
    /// 1-based, in characters.
    pub column: Option<u32>,
    /// Byte offset into the payload, 0-based.
    pub offset: Option<usize>,
    /// A field path in the message, such as `order.total`.
    pub field: Option<String>,
    /// The step, such as `2:filter`, or the out, such as `out:erp`.
    pub step: Option<String>,
}

/// An error with a stable code. Boxed, so that a `Result` on the hot path stays one word.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    code: Code,
    reason: String,
    place: Place,
}

impl Fault {
    /// `reason` is a sentence without the place; it never holds a secret or a whole payload.
    #[must_use]
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Fault(Box::new(Inner { code, reason: reason.into(), place: Place::default() }))
    }

    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    #[must_use]
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// The reason, and the place behind it in parentheses.
    #[must_use]
    pub fn why(&self) -> String {
        let place = self.place().to_string();
        if place.is_empty() { self.reason().to_owned() } else { format!("{} ({place})", self.reason()) }
    }

    /// The same fault under another code, for a stage that wraps another's.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// Where it was found by another node.
    #[must_use]
    pub fn at_place(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    #[must_use]
    pub fn at_offset(mut self, offset: usize) -> Self {
        self.0.place.offset = Some(offset);
        self
    }

    #[must_use]
    pub fn at_line(mut self, line: u32, column: u32) -> Self {
        self.0.place.line = Some(line);
        self.0.place.column = Some(column);
        self
    }

    #[must_use]
    pub fn at_column(mut self, column: u32) -> Self {
        self.0.place.column = Some(column);
        self
    }

    /// A field far down keeps both ends of its path.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.0.place.field = Some(shorten(field.into()));
        self
    }

    #[must_use]
    pub fn in_step(mut self, step: impl Into<String>) -> Self {
        self.0.place.step = Some(step.into());
        self
    }

    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.0.place.file = Some(file.into());
        self
    }

    #[must_use]
    pub fn at_pointer(mut self, pointer: impl Into<String>) -> Self {
        self.0.place.pointer = Some(pointer.into());
        self
    }

    /// Of what stands at `base` in the file: the pointer so far begins there; without one it is `base`.
    #[must_use]
    pub fn below(self, base: &str) -> Self {
        let pointer = format!("{base}{}", self.place().pointer.as_deref().unwrap_or_default());
        self.at_pointer(pointer)
    }
}

/// Characters of a field's path.
const LONGEST_FIELD: usize = 200;

fn shorten(field: String) -> String {
    let half = LONGEST_FIELD / 2;
    let cut = |indices: &mut dyn Iterator<Item = (usize, char)>, at| indices.nth(at).map(|(index, _)| index);
    if field.len() <= LONGEST_FIELD || cut(&mut field.char_indices(), LONGEST_FIELD).is_none() {
        return field;
    }
    let head = cut(&mut field.char_indices(), half).unwrap_or(0);
    let tail = cut(&mut field.char_indices().rev(), half - 2).unwrap_or(0);
    format!("{}…{}", &field[..head], &field[tail..])
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            let written = write!(f, "{between}{text}");
            between = ", ";
            written
        };
        if let Some(file) = &self.file {
            part(f, format_args!("{file}"))?;
        }
        if let Some(step) = &self.step {
            part(f, format_args!("step {step}"))?;
        }
        if let Some(pointer) = &self.pointer {
            part(f, format_args!("{pointer}"))?;
        }
        if let Some(field) = &self.field {
            part(f, format_args!("field {field}"))?;
        }
        match (self.line, self.column) {
            (Some(line), Some(column)) => part(f, format_args!("line {line}, column {column}"))?,
            (Some(line), None) => part(f, format_args!("line {line}"))?,
            (None, Some(column)) => part(f, format_args!("column {column}"))?,
            (None, None) => {}
        }
        if let Some(offset) = self.offset {
            part(f, format_args!("byte {offset}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.reason)?;
        let place = self.0.place.to_string();
        if place.is_empty() { Ok(()) } else { write!(f, " ({place})") }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_far_down_keeps_both_ends_of_its_path() {
        let field = |path: &str| Fault::new(Code::ScriptBadReturn, "x").in_field(path).place().field.clone().unwrap();
        for short in [String::new(), "a.".repeat(100), "ä".repeat(200)] {
            assert_eq!(field(&short), short);
        }
        for part in ["ab.", "ä.", "[0]"] {
            let long = part.repeat(10_000);
            let shown = field(&long);
            let (head, tail) = shown.split_once('…').unwrap();
            assert_eq!((head.chars().count(), tail.chars().count()), (100, 99));
            assert!(long.starts_with(head) && long.ends_with(tail));
        }
    }

    #[test]
    fn a_fault_reads_as_code_reason_place() {
        let fault = Fault::new(Code::XmlNotWellFormed, "mismatched end tag </b>").at_offset(17).in_step("0:convert");
        assert_eq!(fault.to_string(), "xml/not-well-formed: mismatched end tag </b> (step 0:convert, byte 17)");
    }
}
