//! What one part of the file demands of another.

use connectors::kind::SourceSpec;
use message::{Code, Fault};

use super::Target;
use crate::model::{Case, Convert, Doctype, Example, Expected, Format, Nil, NumberFormat, PipelineFile, Step, instead};

/// Every rule that is broken, in the file's order.
pub fn check(file: &PipelineFile) -> Vec<Fault> {
    let mut rules = Rules { file, outs: Vec::new(), faults: Vec::new() };
    rules.outs = file.out.list().into_iter().map(|(name, ..)| name).collect();
    rules.formats();
    rules.routes();
    for (at, example) in file.tests.iter().enumerate() {
        rules.example(example, &format!("/tests/{at}"));
    }
    rules.faults
}

struct Rules<'f> {
    file: &'f PipelineFile,
    outs: Vec<&'f str>,
    faults: Vec<Fault>,
}

impl Rules<'_> {
    fn fault(&mut self, code: Code, pointer: impl Into<String>, reason: impl Into<String>) {
        self.faults.push(Fault::new(code, reason).at_pointer(pointer));
    }

    /// Follows the document's format from step to step. `None` is either.
    fn formats(&mut self) {
        let mut format = None;
        let mut edited = None;
        for (at, step) in self.file.steps.iter().enumerate() {
            match step {
                Step::Convert(convert) => {
                    if let (Format::Xml | Format::Csv, Some((edit, name))) = (convert.from, edited) {
                        needs_convert(&mut self.faults, edit, name, "comes before its `convert`");
                    }
                    self.convert(convert, at, format);
                    (format, edited) = (Some(target(convert)), None);
                }
                step if step.is_edit() => {
                    match format {
                        Some(Format::Xml) => {
                            needs_convert(&mut self.faults, at, step.name(), "edits what has become XML");
                        }
                        Some(Format::Csv) => {
                            needs_convert(&mut self.faults, at, step.name(), "edits what has become CSV");
                        }
                        Some(Format::Json) | None => {}
                    }
                    if format.is_none() {
                        edited.get_or_insert((at, step.name()));
                    }
                }
                _ => {}
            }
        }
    }

    fn convert(&mut self, convert: &Convert, at: usize, format: Option<Format>) {
        let pointer = format!("/steps/{at}/convert");
        if convert.to == Some(convert.from) {
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/to"), "`from` and `to` are the same format");
        }
        if format.is_some_and(|format| format != convert.from) {
            let reason = "the message is not of this format here; an earlier step converts it";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/from"), reason);
        }
        if convert.from == Format::Csv && convert.to == Some(Format::Xml) {
            let reason =
                "CSV becomes a list, and XML has a single root; convert it to JSON, and that after a script to XML";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/to"), reason);
        }
        self.reading_options(convert, &pointer, format.is_some());
        let is_csv = convert.from == Format::Csv || target(convert) == Format::Csv;
        if convert.csv.is_some() && !is_csv {
            let reason = "`csv` belongs to a `convert` from or to CSV";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/csv"), reason);
        }
    }

    /// Options that say how the payload is read.
    fn reading_options(&mut self, convert: &Convert, pointer: &str, is_late: bool) {
        const XML: &[Format] = &[Format::Xml];
        const BOTH: &[Format] = &[Format::Xml, Format::Csv];
        let reads = [
            ("arrays", !convert.arrays.is_empty(), XML),
            ("numbers", !convert.numbers.is_empty(), BOTH),
            ("booleans", !convert.booleans.is_empty(), BOTH),
            ("doctype", convert.doctype != Doctype::default(), XML),
            ("number_format", convert.number_format != NumberFormat::default(), BOTH),
            ("trim", !convert.trim, XML),
            ("nil", convert.nil != Nil::default(), XML),
        ];
        for (key, is_given, formats) in reads {
            if is_given && (is_late || !formats.contains(&convert.from)) {
                let from = if formats.len() > 1 { "`convert`, from XML or CSV," } else { "`convert: {from: xml}`" };
                let reason = format!("`{key}` belongs to the {from} that reads the payload");
                self.fault(Code::ConfigInvalidValue, format!("{pointer}/{key}"), reason);
            }
        }
    }

    fn routes(&mut self) {
        let last = self.file.steps.len().saturating_sub(1);
        let mut routed = false;
        for (at, step) in self.file.steps.iter().enumerate() {
            let Step::Route(cases) = step else { continue };
            if at != last {
                self.fault(Code::ConfigInvalidValue, format!("/steps/{at}/route"), "`route` has to be the last step");
            }
            routed = true;
            for (number, case) in cases.iter().enumerate() {
                self.case(case, &format!("/steps/{at}/route/{number}"), number + 1 == cases.len());
            }
        }
        if self.outs.len() > 1 && !routed {
            let reason = format!("there are {} outs and no `route` that chooses between them", self.outs.len());
            self.fault(Code::ConfigNeedsRoute, "/out", reason);
        }
    }

    fn case(&mut self, case: &Case, pointer: &str, last: bool) {
        if case.when.is_none() && !last {
            self.fault(
                Code::ConfigInvalidValue,
                pointer,
                "a case without `when` has to be the last: no later one is reached",
            );
        }
        match (&case.to, case.drop) {
            (None, false) => self.fault(Code::ConfigMissingKey, pointer, "a case wants `to`, or `drop: true`"),
            (Some(_), true) => {
                self.fault(Code::ConfigInvalidValue, format!("{pointer}/drop"), "a case has either `to` or `drop`");
            }
            (None, true) if !last => {
                self.fault(
                    Code::ConfigInvalidValue,
                    format!("{pointer}/drop"),
                    "`drop: true` may stand in the last case only",
                );
            }
            _ => {}
        }
        for (out, end) in case.to.iter().flat_map(|to| to.list()) {
            self.known_out(out, &format!("{pointer}/to{end}"));
        }
    }

    fn known_out(&mut self, out: &str, pointer: &str) {
        if !self.outs.contains(&out) {
            let reason = format!("there is no out `{out}`{}", instead(out, self.outs.iter().copied()));
            self.fault(Code::ConfigUnknownOut, pointer, reason);
        }
    }

    fn example(&mut self, example: &Example, pointer: &str) {
        let input = &example.input;
        let given = [input.file.is_some(), input.text.is_some(), input.json.is_some()];
        if given.iter().filter(|there| **there).count() != 1 {
            let reason = "a test's message is exactly one of `file`, `text` and `json`";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/in"), reason);
        }
        match example.expected() {
            Some(Expected::Outs | Expected::Dropped | Expected::Error) => {}
            None => {
                let reason = "a test expects exactly one of `out`, `dropped: true` and `error`";
                self.fault(Code::ConfigInvalidValue, pointer, reason);
            }
        }
        for out in example.out.iter().flat_map(|outs| outs.keys()) {
            self.known_out(out, &format!("{pointer}/out/{out}"));
        }
    }
}

/// Headers of the file's tests that its in drops.
pub fn dropped_headers(file: &PipelineFile, input: &dyn SourceSpec) -> Vec<Fault> {
    let kind = &file.input.connector().kind;
    let given =
        file.tests.iter().enumerate().flat_map(|(at, test)| test.input.headers.keys().map(move |name| (at, name)));
    let dropped = given.filter(|(_, name)| !input.passes(name)).map(|(at, name)| {
        let reason = format!("the {kind} in drops the header `{name}`, which its options do not name");
        Fault::new(Code::ConfigHeaderDropped, reason).at_pointer(format!("/tests/{at}/in/headers/{}", escaped(name)))
    });
    dropped.collect()
}

/// Outs that write what the in reads: each message would come again, for ever.
pub fn own_files(outs: &[Target], input: &dyn SourceSpec) -> Vec<Fault> {
    let own = outs.iter().filter(|out| out.spec.file().is_some_and(|path| input.reads_file(path)));
    let refused = own.map(|out| {
        let reason = "the in reads this file, so that each message would come again: use another folder or name";
        Fault::new(Code::ConfigInvalidValue, reason).at_pointer(format!("{}/path", out.pointer))
    });
    refused.collect()
}

/// Outs whose topics the in reads, where nothing counts how often a message goes round.
pub fn own_topics(outs: &[Target], input: &dyn SourceSpec) -> Vec<Fault> {
    let own = outs.iter().filter(|out| out.spec.published().is_some_and(|published| input.reads_topic(&published)));
    let refused = own.map(|out| {
        let reason = "the in reads this topic, so that each message would come again, for ever with `version: v3.1.1`: \
                      use another topic, or `version: v5` for in and out, which ends after 15 rounds";
        Fault::new(Code::ConfigInvalidValue, reason).at_pointer(format!("{}/topic", out.pointer))
    });
    refused.collect()
}

/// A key as a token of a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What a `convert` makes.
pub(super) fn target(convert: &Convert) -> Format {
    convert.to.unwrap_or(match convert.from {
        Format::Xml | Format::Csv => Format::Json,
        Format::Json => Format::Xml,
    })
}

fn needs_convert(faults: &mut Vec<Fault>, at: usize, name: &str, why: &str) {
    let fault = Fault::new(Code::ConfigNeedsConvert, format!("`{name}` {why}"));
    faults.push(fault.at_pointer(format!("/steps/{at}/{name}")));
}
