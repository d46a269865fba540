//! CSV by hand-picked examples, against the csv crate, and there and back.

mod examples;
mod properties;

use formats::csv::{CsvOptions, Reader};
use message::{Code, Document, Fault, Limits};

fn read_with(options: &CsvOptions, limits: &Limits, source: &[u8]) -> Result<Document, Fault> {
    let mut document = Document::default();
    Reader::new(options).unwrap().parse(source, limits, &mut document)?;
    Ok(document)
}

fn read(options: &CsvOptions, source: &[u8]) -> Result<Document, Fault> {
    read_with(options, &Limits::default(), source)
}

fn json(document: &Document) -> String {
    let mut out = Vec::new();
    formats::json::emit(document, &mut out);
    String::from_utf8(out).unwrap()
}

/// What the rows are as JSON.
fn rows(options: &CsvOptions, source: &str) -> String {
    json(&read(options, source.as_bytes()).unwrap_or_else(|fault| panic!("{source}: {fault}")))
}

fn write(options: &CsvOptions, text: &str) -> Result<String, Fault> {
    let mut document = Document::default();
    formats::json::parse(text.as_bytes(), &Limits::default(), &mut document)?;
    document.set_dialect(&options.dialect()?);
    let mut out = Vec::new();
    formats::csv::emit(&document, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// Code, line, column and byte.
type Place = (Code, u32, u32, usize);

fn place(fault: &Fault) -> Place {
    let place = fault.place();
    (fault.code(), place.line.unwrap(), place.column.unwrap(), place.offset.unwrap())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
