//! Single operations on single payloads, for callers outside a node: the Python API.
//!
//! ```text
//! xml_to_json, json_to_xml    formats
//! matches                     formats, expression
//! run_script                  formats, script
//! header_block                what a message's headers have to look like
//! ```

use std::cell::RefCell;

use expression::Filter;
use formats::xml::Reader;
use message::{Code, Context, Document, Fault, Format, Headers, Limits};
use script::{Program, Runner, TaskContext};

use crate::compile::detect;
use crate::fan_out::OutputBudget;
use crate::process::Message;

thread_local! {
    /// Kept from call to call, for its allocations.
    static DOCUMENT: RefCell<Document> = RefCell::default();
}

/// Lends this thread's document. A panic in `work` leaves a fresh one behind.
fn with_document<T>(work: impl FnOnce(&mut Document) -> T) -> T {
    let mut document = DOCUMENT.take();
    let done = work(&mut document);
    DOCUMENT.set(document);
    done
}

/// XML as JSON, under the default limits.
///
/// # Errors
/// `xml/...` with the byte offset, `convert/...`.
pub fn xml_to_json(reader: &Reader, xml: &[u8]) -> Result<Vec<u8>, Fault> {
    with_document(|document| {
        reader.parse(xml, &Limits::default(), document)?;
        let mut json = Vec::with_capacity(xml.len());
        formats::json::emit(document, &mut json);
        Ok(json)
    })
}

/// JSON as XML, by the reader's conventions, under the default limits.
///
/// # Errors
/// `json/...` with the byte offset, `convert/...`.
pub fn json_to_xml(reader: &Reader, json: &[u8]) -> Result<Vec<u8>, Fault> {
    with_document(|document| {
        formats::json::parse(json, &Limits::default(), document)?;
        document.set_conventions(reader.conventions());
        let mut xml = Vec::with_capacity(json.len() * 2);
        formats::xml::emit(document, &mut xml)?;
        Ok(xml)
    })
}

/// Whether the filter is true of the payload. Without a `format`, the payload's first byte tells.
///
/// # Errors
/// `filter/...`, and those of reading the payload.
pub fn matches(filter: &Filter, reader: &Reader, format: Option<Format>, payload: &[u8]) -> Result<bool, Fault> {
    let limits = Limits::default();
    let context = Context { id: "", customer: "", pipeline: "", revision: "", time_ms: 0, headers: Headers::default() };
    with_document(|document| {
        match format.unwrap_or_else(|| detect(payload, "")) {
            Format::Xml => reader.parse(payload, &limits, document)?,
            Format::Json => formats::json::parse(payload, &limits, document)?,
            Format::Csv => formats::csv::Reader::default().parse(payload, &limits, document)?,
        }
        filter.matches(document, &context, &limits)
    })
}

/// The payloads of the messages that a script makes of one. Blocks for as long as it runs.
///
/// # Errors
/// `script/...`; `deliver/too-many-outputs`; `json/...` and `convert/unexpected-format` for a payload that is no JSON.
pub fn run_script(
    runner: &mut Runner,
    program: &Program,
    limits: &Limits,
    message: &Message<'_>,
) -> Result<Vec<Vec<u8>>, Fault> {
    if detect(message.payload, message.content_type) != Format::Json {
        return Err(Fault::new(Code::ConvertUnexpectedFormat, "a script works on JSON; convert the payload first"));
    }
    let mut document = Document::default();
    formats::json::parse(message.payload, limits, &mut document)?;
    let headers = message.headers.into();
    let context = TaskContext { id: message.id.into(), time_ms: message.time_ms, headers, ..TaskContext::default() };
    let done = runner.run(program, document, &context, limits);
    let mut document = done.document;
    let roots = done.outcome?;
    let mut budget = OutputBudget::default();
    budget.on_results(limits, roots.len())?;
    let emit = |root: u32| {
        document.set_root(root);
        let mut payload = Vec::new();
        formats::json::emit(&document, &mut payload);
        budget.on_message(limits, payload.len()).map(|()| payload)
    };
    roots.into_iter().map(emit).collect()
}

/// Headers as a NATS header block.
///
/// # Errors
/// `nats/header` for what could end a header, or the block.
pub fn header_block(headers: &[(String, String)]) -> Result<Vec<u8>, Fault> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        let token = |b: u8| b.is_ascii_graphic() && b != b':';
        if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
            return Err(Fault::new(Code::NatsHeader, format!("the header {name:?} cannot be carried")));
        }
        block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    block.extend_from_slice(b"\r\n");
    Ok(block)
}
