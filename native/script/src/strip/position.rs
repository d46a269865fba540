//! Byte offsets to lines and columns, both from 1, columns in characters.

use message::Fault;

pub fn line_and_column(source: &str, offset: usize) -> (u32, u32) {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &source[..offset];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[start..].chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// The fault, at the place of `offset`.
pub fn at(fault: Fault, source: &str, offset: usize) -> Fault {
    let (line, column) = line_and_column(source, offset);
    fault.at_line(line, column)
}

/// The customer's file, for errors.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub file: &'a str,
    /// Its text, or one with the same bytes in each line.
    pub text: &'a str,
}

impl Origin<'_> {
    /// The engine counts columns in bytes, people in characters.
    pub fn column(&self, line: u32, bytes: u32) -> u32 {
        let index = usize::try_from(line).unwrap_or(0).saturating_sub(1);
        let Some(text) = self.text.split('\n').nth(index) else { return bytes };
        let before = text.bytes().take(usize::try_from(bytes).unwrap_or(0).saturating_sub(1));
        let continued = before.filter(|byte| byte & 0xc0 == 0x80).count();
        bytes - u32::try_from(continued).unwrap_or(0)
    }
}
