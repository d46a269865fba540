//! How a payload becomes a document: which format it is in, and who reads it.

use formats::xml::{self, Reader, XmlOptions};
use formats::{csv, json};
use message::{Code, Document, Fault, Format, Limits, charset_parameters};

use super::Pipeline;
use super::rules::target;
use crate::model::{self, Convert, Doctype, Namespaces, Nil, NumberFormat, PipelineFile, Step};

/// Reads payloads for the first step.
pub struct Source {
    /// The only format that the steps can work on.
    expect: Option<Format>,
    /// Reads XML as the first `convert: {from: xml}` declares it, or with the defaults.
    reader: Option<Reader>,
    /// Reads CSV as the first `convert: {from: csv}` declares it, or with the defaults.
    table: csv::Reader,
    /// Reads the CSV that the last `convert: {to: csv}` makes, again.
    output: Option<csv::Reader>,
    /// Where parsing belongs in a place: that convert, else the first step.
    stage: usize,
}

impl Source {
    pub fn expect(&self) -> Option<Format> {
        self.expect
    }
}

/// What the first `convert` reads; without one, JSON when a step edits, else either.
pub fn compile(file: &PipelineFile, faults: &mut Vec<Fault>) -> Source {
    let first = file.steps.iter().enumerate().find_map(|(at, step)| match step {
        Step::Convert(convert) => Some((at, convert)),
        _ => None,
    });
    let expect = match first {
        Some((_, convert)) => Some(wire(convert.from)),
        None => file.steps.iter().any(Step::is_edit).then_some(Format::Json),
    };
    let stage = first.map_or(0, |(at, _)| at);
    let options = match first {
        Some((_, convert)) if convert.from == model::Format::Xml => options(convert),
        _ => XmlOptions::default(),
    };
    let reader = Reader::new(&options).map_err(|fault| faults.push(at_option(fault, stage))).ok();
    let table = first.filter(|(_, convert)| convert.from == model::Format::Csv);
    let table =
        table.map(|(at, convert)| super::csv::reader(convert).map_err(|fault| faults.push(at_option(fault, at))));
    let table = table.and_then(Result::ok).unwrap_or_default();
    let last = file.steps.iter().rev().find_map(|step| if let Step::Convert(one) = step { Some(one) } else { None });
    let last = last.filter(|convert| target(convert) == model::Format::Csv);
    // What is wrong with it is said where it is compiled.
    let output = last.and_then(|convert| super::csv::output_reader(convert).ok());
    Source { expect, reader, table, output, stage }
}

pub(super) fn wire(format: model::Format) -> Format {
    match format {
        model::Format::Xml => Format::Xml,
        model::Format::Json => Format::Json,
        model::Format::Csv => Format::Csv,
    }
}

pub(super) fn options(convert: &Convert) -> XmlOptions {
    let texts = |paths: &[model::FieldPath]| paths.iter().map(|path| path.to_string()).collect();
    XmlOptions {
        attribute_prefix: convert.attribute_prefix.clone(),
        text_key: convert.text_key.clone(),
        arrays: texts(&convert.arrays),
        numbers: texts(&convert.numbers),
        booleans: texts(&convert.booleans),
        namespaces: match convert.namespaces {
            Namespaces::Keep => xml::Namespaces::Keep,
            Namespaces::Strip => xml::Namespaces::Strip,
        },
        doctype: match convert.doctype {
            Doctype::Refuse => xml::Doctype::Refuse,
            Doctype::Ignore => xml::Doctype::Ignore,
        },
        number_format: number_format(convert),
        trim: convert.trim,
        nil: match convert.nil {
            Nil::Keep => xml::Nil::Keep,
            Nil::Null => xml::Nil::Null,
        },
    }
}

pub(super) fn number_format(convert: &Convert) -> xml::NumberFormat {
    match convert.number_format {
        NumberFormat::Json => xml::NumberFormat::Json,
        NumberFormat::XmlSchema => xml::NumberFormat::XmlSchema,
    }
}

/// The fault of an option, at its place in the file.
pub(super) fn at_option(fault: Fault, step: usize) -> Fault {
    let option = fault.place().pointer.clone().unwrap_or_default();
    fault.at_pointer(format!("/steps/{step}/convert{option}"))
}

/// What a Content-Type says of the format, if anything.
fn by_content_type(content_type: &str) -> Option<Format> {
    let media = content_type.split(';').next().unwrap_or_default().trim_ascii_end();
    let ends = |with: &str| {
        let start = media.len().checked_sub(with.len());
        start.and_then(|start| media.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(with))
    };
    match () {
        () if ends("/json") || ends("+json") => Some(Format::Json),
        () if ends("/xml") || ends("+xml") => Some(Format::Xml),
        () if media.eq_ignore_ascii_case("text/csv") => Some(Format::Csv),
        () => None,
    }
}

/// What the first byte says that is neither blank nor byte order mark, nor the other half of a blank in UTF-16.
fn by_first_byte(payload: &[u8]) -> Option<Format> {
    let marks: [&[u8]; 3] = [b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"];
    let payload = marks.iter().find_map(|mark| payload.strip_prefix(*mark)).unwrap_or(payload);
    match payload.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != 0) {
        Some(b'<') => Some(Format::Xml),
        Some(b'{' | b'[' | b'"') => Some(Format::Json),
        _ => None,
    }
}

/// The format of a payload that may be any: by its Content-Type, else by its first byte, which does not tell CSV.
#[must_use]
pub fn detect(payload: &[u8], content_type: &str) -> Format {
    by_content_type(content_type).or_else(|| by_first_byte(payload)).unwrap_or(Format::Json)
}

impl Pipeline {
    /// Whether a payload has to be parsed at all. Without steps its bytes are forwarded as they are,
    /// to the only out.
    #[inline]
    #[must_use]
    pub fn needs_document(&self) -> bool {
        !self.stages.is_empty()
    }

    /// Reads an incoming payload. `content_type` may be empty. The document is reused.
    ///
    /// # Errors
    /// `xml/...`, `json/...` with the byte offset, `convert/...`; the place names the step that
    /// asked for the format.
    #[inline]
    pub fn parse(&self, payload: &[u8], content_type: &str, document: &mut Document) -> Result<(), Fault> {
        let format = match self.source.expect {
            None => detect(payload, content_type),
            Some(format) => {
                // A text of CSV may begin with anything.
                let guess = || if format == Format::Csv { None } else { by_first_byte(payload) };
                let says = by_content_type(content_type).or_else(guess);
                if says.is_some_and(|says| says != format) {
                    return Err(self.at(self.source.stage, unexpected(format, content_type)));
                }
                format
            }
        };
        let read = self.source.read(payload, (format, content_type), &self.limits, document);
        read.map_err(|fault| self.at(self.source.stage, fault))
    }

    /// Reads what goes to an out without [`Pipeline::urls`], to fill in a URL's placeholders: the source's bytes
    /// where there are no steps, or what was emitted for another template.
    ///
    /// # Errors
    /// Those of [`Pipeline::parse`], without a step.
    pub fn parse_output(&self, payload: &[u8], content_type: &str, document: &mut Document) -> Result<(), Fault> {
        match (detect(payload, content_type), &self.source.output) {
            (Format::Csv, Some(output)) => output.parse(payload, &self.limits, document),
            (format, _) => self.source.read(payload, (format, content_type), &self.limits, document),
        }
    }

    /// Reads a part that died at `stage`, as it stood before it: as JSON, and of the format that the steps before
    /// had converted it to.
    ///
    /// # Errors
    /// Those of [`Pipeline::parse`]; the place names the step.
    pub fn parse_part(
        &self,
        stage: usize,
        payload: &[u8],
        content_type: &str,
        document: &mut Document,
    ) -> Result<(), Fault> {
        let read = self.source.read(payload, (detect(payload, content_type), content_type), &self.limits, document);
        read.map_err(|fault| self.at(stage, fault))?;
        self.stages.iter().take(stage).for_each(|earlier| earlier.convert(document));
        Ok(())
    }

    /// Reads a payload once more, of which the steps before `stage` have changed nothing but how it is emitted. `is_part`:
    /// whether it is a part that died.
    ///
    /// # Errors
    /// Those of [`Pipeline::parse`].
    pub fn parse_again(
        &self,
        stage: usize,
        (payload, content_type, is_part): (&[u8], &str, bool),
        document: &mut Document,
    ) -> Result<(), Fault> {
        if is_part {
            return self.parse_part(stage, payload, content_type, document);
        }
        self.parse(payload, content_type, document)?;
        self.stages.iter().take(stage).for_each(|earlier| earlier.convert(document));
        Ok(())
    }

    /// The same fault, at a step.
    #[cold]
    pub(super) fn at(&self, stage: usize, fault: Fault) -> Fault {
        if stage < self.stage_count() { fault.in_step(self.stage_label(stage)) } else { fault }
    }
}

impl Source {
    #[inline]
    fn read(
        &self,
        payload: &[u8],
        (format, content_type): (Format, &str),
        limits: &Limits,
        document: &mut Document,
    ) -> Result<(), Fault> {
        match (format, &self.reader) {
            (Format::Xml, Some(reader)) => {
                reader.parse_as(payload, charset_parameters(content_type).next(), limits, document)
            }
            (Format::Csv, _) => self.table.parse(payload, limits, document),
            // A pipeline without a reader did not compile.
            (Format::Json, _) | (Format::Xml, None) => json::parse(payload, limits, document),
        }
    }
}

#[cold]
fn unexpected(expected: Format, content_type: &str) -> Fault {
    let name = |format| match format {
        Format::Json => "JSON",
        Format::Xml => "XML",
        Format::Csv => "CSV",
    };
    let by_type = by_content_type(content_type);
    let says = if by_type.is_some() { "the Content-Type" } else { "its first byte" };
    // The first byte tells XML from JSON.
    let other = by_type.unwrap_or(if expected == Format::Json { Format::Xml } else { Format::Json });
    let reason = format!("the payload should be {}, {says} says {}", name(expected), name(other));
    Fault::new(Code::ConvertUnexpectedFormat, reason)
}
