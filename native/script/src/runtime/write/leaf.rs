//! Leaves, and what everything costs.

use std::io::Write;

use message::{Code, Kind, Node, Span};

use super::{Refusal, Writer, bad, too_large};
use crate::runtime::digits::Digits;
use crate::runtime::raw::Owned;

impl Writer<'_> {
    pub(super) fn int(&mut self, value: i32) -> Result<u32, Refusal> {
        self.digits(format_args!("{value}"))
    }

    /// At most 32 characters.
    fn digits(&mut self, number: std::fmt::Arguments<'_>) -> Result<u32, Refusal> {
        let mut digits = [0u8; 32];
        let mut rest = &mut digits[..];
        let _ = rest.write_fmt(number);
        let length = 32 - rest.len();
        self.leaf(Kind::Number, &digits[..length])
    }

    /// Integers below 10^21 without an exponent, and -0 as 0, as in `JSON.stringify`.
    pub(super) fn float(&mut self, value: f64) -> Result<u32, Refusal> {
        if !value.is_finite() {
            return bad(format!("{} is no JSON value", if value.is_nan() { "NaN" } else { "Infinity" }));
        }
        match self.message.long.find(value) {
            None | Some(Digits::Own) => {}
            Some(Digits::At(span)) => return self.long(span),
            Some(Digits::Ambiguous) => return ambiguous(value),
        }
        if value.fract() == 0.0 && value.abs() < 1e21 {
            return self.digits(format_args!("{}", value + 0.0));
        }
        self.spend(24)?;
        Ok(self.message.document.borrow_mut().push_f64(value))
    }

    /// A number of the message, in its own digits.
    #[cold]
    fn long(&mut self, span: Span) -> Result<u32, Refusal> {
        self.spend(span.length as usize)?;
        Ok(self.message.document.borrow_mut().push(Node { value: span, ..Node::new(Kind::Number) }))
    }

    pub(super) fn text(&mut self, value: &Owned) -> Result<u32, Refusal> {
        let room = self.bytes_left;
        let mut document = self.message.document.borrow_mut();
        let written = value.with_text(|text| match std::str::from_utf8(text) {
            Ok(text) if text.len() <= room => Some((Some(document.push_text(text)), text.len())),
            Ok(text) => Some((None, text.len())),
            Err(_) => None,
        })?;
        drop(document);
        let Some((node, length)) = written else { return bad("the string holds half a surrogate pair") };
        self.spend(length + 2)?;
        match node {
            Some(node) => Ok(node),
            None => self.too_many_bytes(),
        }
    }

    pub(super) fn leaf(&mut self, kind: Kind, text: &[u8]) -> Result<u32, Refusal> {
        self.spend(text.len().max(4))?;
        Ok(self.message.document.borrow_mut().push_leaf(kind, text))
    }

    /// For a node of `bytes` bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Refusal> {
        let Some(nodes_left) = self.nodes_left.checked_sub(1) else {
            return too_large(format!("more than {} values", self.limits.nodes));
        };
        self.nodes_left = nodes_left;
        self.pay(bytes)
    }

    pub(super) fn pay(&mut self, bytes: usize) -> Result<(), Refusal> {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                Ok(())
            }
            None => self.too_many_bytes(),
        }
    }

    pub(super) fn too_many_bytes<T>(&self) -> Result<T, Refusal> {
        too_large(format!("more than {} bytes in all", self.limits.output_bytes))
    }
}

#[cold]
fn ambiguous<T>(value: f64) -> Result<T, Refusal> {
    let reason = format!("several numbers of the message are {value} in JavaScript; send them as strings");
    Err(Refusal::Bad { code: Code::ScriptNumberPrecision, reason, path: Vec::new() })
}
