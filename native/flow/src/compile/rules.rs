//! What one part of the file demands of another.

use connectors::http::source::is_passed_on;
use message::{Code, Fault};

use crate::model::{
    Case, Convert, Doctype, Example, Expected, Format, HttpIn, HttpOut, In, NatsMode, Nil, NumberFormat, Out, OutUrl,
    PipelineFile, Step, instead,
};

/// Every rule that is broken, in the file's order.
pub fn check(file: &PipelineFile) -> Vec<Fault> {
    let mut rules = Rules { file, outs: Vec::new(), faults: Vec::new() };
    rules.outs = file.out.list().into_iter().map(|(name, ..)| name).collect();
    rules.input();
    rules.formats();
    rules.routes();
    rules.connectors();
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

    fn input(&mut self) {
        let nats = match &self.file.input {
            In::Nats(nats) => nats,
            In::Http(http) => return self.max_body(http),
        };
        match nats.mode {
            NatsMode::Jetstream if nats.stream.is_none() => {
                self.fault(Code::ConfigMissingKey, "/in/nats", "`mode: jetstream` wants the `stream` to read from");
            }
            NatsMode::Core => {
                for (key, there) in [("stream", nats.stream.is_some()), ("durable", nats.durable.is_some())] {
                    if there {
                        let reason = format!("`{key}` belongs to `mode: jetstream`");
                        self.fault(Code::ConfigInvalidValue, format!("/in/nats/{key}"), reason);
                    }
                }
            }
            NatsMode::Jetstream => {}
        }
    }

    fn max_body(&mut self, http: &HttpIn) {
        let bytes = self.file.limits.bytes;
        if http.max_body.is_some_and(|most| most > bytes) {
            let reason = format!("`max_body` is above `limits.bytes`, which is {bytes}");
            self.fault(Code::ConfigInvalidValue, "/in/http/max_body", reason);
        }
    }

    /// Follows the document's format from step to step. `None` is either.
    fn formats(&mut self) {
        let mut format = None;
        let mut edited = None;
        for (at, step) in self.file.steps.iter().enumerate() {
            match step {
                Step::Convert(convert) => {
                    if let (Format::Xml, Some((edit, name))) = (convert.from, edited) {
                        needs_convert(&mut self.faults, edit, name, "comes before its `convert`");
                    }
                    self.convert(convert, at, format);
                    (format, edited) = (Some(target(convert)), None);
                }
                step if step.is_edit() => {
                    if format == Some(Format::Xml) {
                        needs_convert(&mut self.faults, at, step.name(), "edits what has become XML");
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
        let reads = [
            ("arrays", !convert.arrays.is_empty()),
            ("numbers", !convert.numbers.is_empty()),
            ("booleans", !convert.booleans.is_empty()),
            ("doctype", convert.doctype != Doctype::default()),
            ("number_format", convert.number_format != NumberFormat::default()),
            ("trim", !convert.trim),
            ("nil", convert.nil != Nil::default()),
        ];
        for (key, is_given) in reads {
            let late = convert.from == Format::Json || format.is_some();
            if late && is_given {
                let reason = format!("`{key}` belongs to the `convert: {{from: xml}}` that reads the payload");
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

    fn connectors(&mut self) {
        for (_, out, pointer) in self.file.out.list() {
            match out {
                Out::File(file)
                    if file.path.split(['/', '\\']).any(|part| part == "..") || file.path.contains('\0') =>
                {
                    let reason =
                        format!("the path `{}` leads out of the folder for files", file.path.replace('\0', " "));
                    self.fault(Code::ConfigFileOutside, format!("{pointer}/file/path"), reason);
                }
                Out::Http(http) => self.http_out(http, &pointer),
                Out::Nats(nats) if nats.mode == NatsMode::Core && nats.stream.is_some() => {
                    let pointer = format!("{pointer}/nats/stream");
                    self.fault(Code::ConfigInvalidValue, pointer, "`stream` belongs to `mode: jetstream`");
                }
                _ => {}
            }
        }
    }

    fn http_out(&mut self, http: &HttpOut, pointer: &str) {
        let Some(tls) = &http.tls else { return };
        if tls.certificate.is_some() != tls.key.is_some() {
            let reason = "`certificate` and `key` belong together";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/http/tls"), reason);
        }
        if let OutUrl::Text(url) = &http.url
            && !url.starts_with("https:")
        {
            let reason = "`tls` is for https; the URL has another scheme";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/http/tls"), reason);
        }
    }

    fn example(&mut self, example: &Example, pointer: &str) {
        let input = &example.input;
        let given = [input.file.is_some(), input.text.is_some(), input.json.is_some()];
        if given.iter().filter(|there| **there).count() != 1 {
            let reason = "a test's message is exactly one of `file`, `text` and `json`";
            self.fault(Code::ConfigInvalidValue, format!("{pointer}/in"), reason);
        }
        if let In::Http(http) = &self.file.input {
            for name in input.headers.keys().filter(|name| !is_seen(name) && !is_named(http, name)) {
                let reason = format!("the HTTP in drops the header `{name}`, which its `headers` do not name");
                self.fault(Code::ConfigHeaderDropped, format!("{pointer}/in/headers/{}", escaped(name)), reason);
            }
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

/// Whether steps can see this header of a message that came by HTTP: the sender's, or the node's own.
fn is_seen(name: &str) -> bool {
    is_passed_on(name) || name.eq_ignore_ascii_case("Customer-ID")
}

/// A key as a token of a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What a `convert` makes.
pub(super) fn target(convert: &Convert) -> Format {
    convert.to.unwrap_or(match convert.from {
        Format::Xml => Format::Json,
        Format::Json => Format::Xml,
    })
}

fn needs_convert(faults: &mut Vec<Fault>, at: usize, name: &str, why: &str) {
    let fault = Fault::new(Code::ConfigNeedsConvert, format!("`{name}` {why}"));
    faults.push(fault.at_pointer(format!("/steps/{at}/{name}")));
}

/// Whether the in says that this goes on: a header, or a parameter of the query.
fn is_named(http: &HttpIn, name: &str) -> bool {
    let parameter = name.get(.."Query-".len()).filter(|start| start.eq_ignore_ascii_case("Query-"));
    let parameter = parameter.and_then(|start| name.get(start.len()..)).unwrap_or_default();
    http.headers.iter().any(|one| one.eq_ignore_ascii_case(name))
        || http.query.iter().any(|one| one.eq_ignore_ascii_case(parameter))
}
