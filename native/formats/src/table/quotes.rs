//! Where fields and quotes of a CSV file stand. The csv crate reads a quote wherever it finds one; here one without its
//! partner, which would take the rest of the file for one field, is found with its place.

use message::Fault;

use super::invalid;

/// Refuses a quote that is not closed, or stands within a field that does not begin with one (RFC 4180).
pub fn check(text: &str, delimiter: u8) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let mut starts_field = true;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' if starts_field => {
                at = closing(text, at)? + 1;
                match bytes.get(at) {
                    None | Some(b'\n' | b'\r') => {}
                    Some(next) if *next == delimiter => {}
                    Some(_) => return Err(invalid(text, at, "a quoted field goes on behind its closing quote")),
                }
                starts_field = false;
                continue;
            }
            b'"' => {
                let reason = "a quote stands within a field; quote the whole field, and write the quote as `\"\"`";
                return Err(invalid(text, at, reason));
            }
            b'\n' | b'\r' => starts_field = true,
            byte => starts_field = *byte == delimiter,
        }
        at += 1;
    }
    Ok(())
}

/// The byte of the quote that ends the field whose first quote is at `open`.
fn closing(text: &str, open: usize) -> Result<usize, Fault> {
    let bytes = text.as_bytes();
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match (byte, bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Ok(at),
            _ => at += 1,
        }
    }
    Err(invalid(text, open, "a quote is opened here and not closed"))
}

/// The byte at which a field begins, of the record that begins at `start`. Quotes have been checked.
#[cold]
pub fn field_start(text: &str, start: usize, field: usize, delimiter: u8) -> usize {
    let record = text.as_bytes().get(start..).unwrap_or_default();
    // An empty line before a record counts to it.
    let skipped = record.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    let (mut quoted, mut left) = (false, field);
    for (offset, byte) in record.iter().enumerate().skip(skipped) {
        if left == 0 {
            return start + offset;
        }
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => return start + offset,
            byte if *byte == delimiter && !quoted => left -= 1,
            _ => {}
        }
    }
    if left == 0 { start + skipped.max(record.len()) } else { start + skipped }
}
