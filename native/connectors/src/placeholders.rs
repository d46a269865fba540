//! Texts with fields of the message in braces: `orders/{order.id}`. What the URL and the topic of an out share.

use std::borrow::Cow;

use message::{Code, Fault, Path};

#[derive(Clone, Debug)]
pub enum Part {
    Literal(Box<str>),
    Field(Path),
}

/// A parsed text, in its order.
#[derive(Clone, Debug)]
pub struct Parts(Box<[Part]>);

/// What is wrong, and at which byte of the text: the end of a sentence about it.
pub struct Wrong {
    pub at: usize,
    pub reason: &'static str,
}

impl Wrong {
    /// `what` is the text: `the URL`. Users count characters, from 1.
    #[must_use]
    pub fn fault(&self, what: &str, text: &str) -> Fault {
        let column = text.get(..self.at).map_or(0, |before| before.chars().count()) + 1;
        Fault::new(Code::ConfigInvalidValue, format!("{what} {}", self.reason))
            .at_column(u32::try_from(column).unwrap_or(u32::MAX))
    }
}

impl Parts {
    /// What stands in `text` from byte `start` on. `check` is given each text between fields, and counts from there.
    ///
    /// # Errors
    /// A brace without its partner, what is no path, and what `check` refuses.
    pub fn parse(text: &str, start: usize, check: impl Fn(&str) -> Result<(), Wrong>) -> Result<Parts, Wrong> {
        let mut parts = Vec::new();
        let mut at = start;
        while at < text.len() {
            if text.as_bytes()[at] == b'{' {
                let end = closing(text, at).ok_or(Wrong { at, reason: "has a `{` without its `}`" })?;
                let path = Path::parse(&text[at + 1..end])
                    .map_err(|error| Wrong { at: at + 1 + error.offset, reason: error.reason })?;
                parts.push(Part::Field(path));
                at = end + 1;
            } else {
                let end = text[at..].find('{').map_or(text.len(), |length| at + length);
                check(&text[at..end]).map_err(|wrong| Wrong { at: at + wrong.at, ..wrong })?;
                parts.push(Part::Literal(text[at..end].into()));
                at = end;
            }
        }
        Ok(Parts(parts.into()))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }

    /// The fields, in order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.iter().filter_map(|part| match part {
            Part::Field(path) => Some(path),
            Part::Literal(_) => None,
        })
    }

    /// Puts the text of one message behind `out`. `value` gives a field's text, or `None` when the message has no such
    /// field or it is no scalar; `put` writes such a text.
    ///
    /// # Errors
    /// `code` names the field that is missing, or whose text `put` refuses.
    pub fn render<'a>(
        &self,
        out: &mut String,
        code: Code,
        mut value: impl FnMut(&Path) -> Option<Cow<'a, str>>,
        put: impl Fn(&mut String, &str) -> Result<(), &'static str>,
    ) -> Result<(), Fault> {
        for part in self.iter() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(path) => {
                    let text = value(path).ok_or("the field is missing or no scalar");
                    text.and_then(|text| put(out, &text))
                        .map_err(|reason| Fault::new(code, reason).in_field(path.to_string()))?;
                }
            }
        }
        Ok(())
    }
}

/// The `}` that closes the `{` at `start`; one inside a quoted name does not.
fn closing(text: &str, start: usize) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(start + 1) {
        match (quote, byte) {
            (None, b'}') => return Some(offset),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if !escaped && byte == open => quote = None,
            _ => {}
        }
        escaped = quote.is_some() && !escaped && byte == b'\\';
    }
    None
}
