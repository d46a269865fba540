//! Converts documents for another program that compares: an oracle's counterpart.
//!
//! ```text
//! cargo run -p formats --example oracle -- xml [--prefix -] [--strip] [--array PATH]... [--number PATH]... [--boolean PATH]...
//!                                       -- json | to-xml [--prefix -]
//! ```
//!
//! On standard input: documents, each behind its length (u32, little endian). On standard output,
//! for each: `+` or `-`, the length, and JSON (XML for `to-xml`), or what was wrong.

use std::io::{self, BufWriter, Read, Write};

use formats::xml::{Namespaces, Reader, XmlOptions};
use formats::{json, xml};
use message::{Document, Fault, Limits};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let options = options(arguments)?;
    let limits = Limits { depth: 100_000, ..Limits::default() };
    let reader = Reader::new(&options).map_err(io::Error::other)?;
    let convert = |source: &[u8], document: &mut Document| -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        if mode == "xml" {
            reader.parse(source, &limits, document)?;
        } else {
            json::parse(source, &limits, document)?;
            document.set_conventions(reader.conventions());
        }
        if mode == "to-xml" {
            xml::emit(document, &mut out)?
        } else {
            json::emit(document, &mut out)
        }
        Ok(out)
    };
    let (mut input, mut output) = (io::stdin().lock(), BufWriter::new(io::stdout().lock()));
    let mut document = Document::default();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut source = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut source)?;
        let (sign, answer) = match convert(&source, &mut document) {
            Ok(out) => (b'+', out),
            Err(fault) => (b'-', fault.to_string().into_bytes()),
        };
        output.write_all(&[sign])?;
        output.write_all(&u32::try_from(answer.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        output.write_all(&answer)?;
        output.flush()?;
    }
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> io::Result<XmlOptions> {
    let mut options = XmlOptions::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--prefix" => options.attribute_prefix = value(),
            "--text-key" => options.text_key = value(),
            "--strip" => options.namespaces = Namespaces::Strip,
            "--array" => options.arrays.push(value()),
            "--number" => options.numbers.push(value()),
            "--boolean" => options.booleans.push(value()),
            other => return Err(io::Error::other(format!("unknown argument {other}"))),
        }
    }
    Ok(options)
}
