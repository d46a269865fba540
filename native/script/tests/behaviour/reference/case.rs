//! One case: a message or two for a script, and a script for what it makes of them; and its comparison.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::support::{reads_back, used_twice};
use message::{Code, Document, Fault, Limits};
use script::{Done, Language, Program, Runner, TaskContext, compile};
use serde_json::{Value, json};

use super::documents::Source;
use super::random::Random;
use super::statements::Script;

const HARNESS: &str = include_str!("reference.js");

/// How many outputs of the first script go to the second.
const FOLLOWED: usize = 3;

/// More than the reference takes for any case but those whose time grows with a power, which are left out.
const REFERENCE_CPU_MS: u32 = 1_000;

/// Outputs that may be larger than what is allowed.
const LARGE: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct Case {
    pub messages: Vec<Source>,
    pub first: Script,
    pub second: Option<Script>,
}

impl Case {
    pub fn random(seed: u64) -> Case {
        let random = &mut Random::new(seed);
        let mut messages = vec![Source::random(random)];
        if random.one_in(4) {
            messages.push(Source::random(random));
        }
        let first = Script::random(random, &json_of(&messages[0].document()));
        let second = random.one_in(3).then(|| Script::random(random, &json_of(&messages[0].document())));
        Case { messages, first, second }
    }

    /// Everything that is one step smaller, the largest steps first.
    pub fn smaller(&self) -> Vec<Case> {
        let mut all = Vec::new();
        if self.second.is_some() {
            all.push(Case { second: None, ..self.clone() });
        }
        if self.messages.len() > 1 {
            all.extend((0..2).map(|kept| Case { messages: vec![self.messages[kept].clone()], ..self.clone() }));
        }
        all.extend(self.first.smaller().into_iter().map(|first| Case { first, ..self.clone() }));
        let second = self.second.iter().flat_map(Script::smaller);
        all.extend(second.map(|second| Case { second: Some(second), ..self.clone() }));
        for (index, message) in self.messages.iter().enumerate() {
            for smaller in message.smaller() {
                let mut case = self.clone();
                case.messages[index] = smaller;
                all.push(case);
            }
        }
        all
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for message in &self.messages {
            writeln!(f, "message: {}", message.text())?;
        }
        f.write_str(&self.first.function("first"))?;
        self.second.as_ref().map_or(Ok(()), |second| f.write_str(&second.function("second")))
    }
}

/// Cases in one program, since making a program costs more than running a case.
pub struct Batch<'c> {
    cases: &'c [Case],
    program: Arc<Program>,
    runner: Runner,
    limits: Limits,
}

/// A document that a script gave back, and the roots in it.
struct Written {
    document: Document,
    roots: Vec<u32>,
}

impl<'c> Batch<'c> {
    pub fn new(cases: &'c [Case]) -> Batch<'c> {
        let mut source = String::from("const scripts = {};\n");
        for (index, case) in cases.iter().enumerate() {
            let scripts = [("first", Some(&case.first)), ("second", case.second.as_ref())];
            for (name, script) in scripts {
                let Some(script) = script else { continue };
                let name = format!("{name}{index}");
                let _ = writeln!(source, "{}scripts.{name} = {name};", script.function(&name));
            }
        }
        source.push_str(HARNESS);
        let program = compile(&source, Language::JavaScript, "reference.js");
        let program = Arc::new(program.unwrap_or_else(|fault| panic!("{fault}\n{source}")));
        let limits = Limits { script_cpu_ms: 60 * REFERENCE_CPU_MS, script_memory_mb: 128, ..Limits::default() };
        Batch { cases, program, runner: Runner::new(), limits }
    }

    /// What differs in a case.
    pub fn check(&self, index: usize) -> Result<(), String> {
        let case = &self.cases[index];
        for message in &case.messages {
            let written = self.compare(&format!("first{index}"), &message.document())?;
            let Some(Written { document, roots }) = written.filter(|_| case.second.is_some()) else { continue };
            let is_alone = roots.len() == 1;
            for root in roots.into_iter().take(FOLLOWED) {
                let mut part = document.clone();
                part.set_root(root);
                // As the engine does it with the parts of a split.
                let part = if is_alone { part } else { part.detached(usize::MAX).unwrap() };
                self.compare(&format!("second{index}"), &part)?;
            }
        }
        Ok(())
    }

    /// Runs one script on one message in both ways.
    fn compare(&self, script: &str, message: &Document) -> Result<Option<Written>, String> {
        let text = emit(message, message.root_index());
        let Some(reference) = self.reference(script, &text)? else { return Ok(None) };
        let done = self.run("view", script, message.clone());
        let log = self.value(&self.run("log", script, object(&json!({}))))?;
        if log["log"] != reference["log"] {
            return Err(format!("reads\n  of the view {}\n  expected    {}", log["log"], reference["log"]));
        }
        let roots = match (&done.outcome, reference["texts"].as_array()) {
            (Ok(roots), Some(expected)) => {
                self.same_texts(&done.document, roots, expected, reference["is_canonical"] == true)?;
                roots.clone()
            }
            (Err(fault), Some(expected)) => {
                return if is_allowed(fault, expected) {
                    Ok(None)
                } else {
                    Err(format!("failed with {fault}, expected {expected:?}"))
                };
            }
            (Err(fault), None) if is_failure_of_script(fault) => return Ok(None),
            (Err(fault), None) => return Err(format!("failed with {fault}")),
            (Ok(roots), None) => {
                let texts: Vec<String> = roots.iter().map(|root| emit(&done.document, *root)).collect();
                return Err(format!("gave {texts:?}, expected to fail: {}", reference["failed"]));
            }
        };
        if let Some(node) = used_twice(&done.document, &roots) {
            return Err(format!("node {node} is used twice"));
        }
        Ok(Some(Written { document: done.document, roots }))
    }

    fn same_texts(
        &self,
        document: &Document,
        roots: &[u32],
        expected: &[Value],
        is_canonical: bool,
    ) -> Result<(), String> {
        let texts: Vec<String> = roots.iter().map(|root| emit(document, *root)).collect();
        let expected: Vec<&str> = expected.iter().filter_map(Value::as_str).collect();
        for text in &texts {
            let mut read = Document::default();
            formats::json::parse(text.as_bytes(), &self.limits, &mut read)
                .map_err(|fault| format!("{text}: {fault}"))?;
        }
        let is_same = |texts: &[String]| {
            texts.len() == expected.len()
                && texts.iter().zip(&expected).all(|(text, expected)| same_json(text, expected))
        };
        if is_same(&texts) || (!is_canonical && is_same(&self.normal(&texts)?)) {
            return Ok(());
        }
        Err(format!("gave\n  {}\nexpected\n  {}", texts.join("\n  "), expected.join("\n  ")))
    }

    /// As `JSON.stringify` writes what `JSON.parse` reads.
    fn normal(&self, texts: &[String]) -> Result<Vec<String>, String> {
        let value = self.value(&self.run("normal", "", object(&json!({ "texts": texts }))))?;
        serde_json::from_value(value["texts"].clone()).map_err(|error| error.to_string())
    }

    /// None for what is too large: a `toJSON` that leads back to its object is called again and again. And for a
    /// script that has met the end of the stack.
    fn reference(&self, script: &str, text: &str) -> Result<Option<Value>, String> {
        // Some cases take time that grows with a power: ours has 60 times as long for what the reference can do.
        let limits = Limits { script_cpu_ms: REFERENCE_CPU_MS, ..self.limits.clone() };
        let done = self.run_within(&limits, "reference", script, object(&json!({ "text": text })));
        match &done.outcome {
            Err(fault) if is_limit(fault) => Ok(None),
            _ => Ok(Some(self.value(&done)?).filter(|value| value["is_deep"] == false)),
        }
    }

    fn run(&self, mode: &str, script: &str, document: Document) -> Done {
        self.run_within(&self.limits, mode, script, document)
    }

    fn run_within(&self, limits: &Limits, mode: &str, script: &str, document: Document) -> Done {
        let context = TaskContext { id: format!("{mode} {script}").into(), ..TaskContext::default() };
        let before = document.clone();
        let done = self.runner.run(&self.program, document, &context, limits);
        reads_back(before, &done, limits);
        done
    }

    fn value(&self, done: &Done) -> Result<Value, String> {
        match &done.outcome {
            Ok(roots) => Ok(serde_json::from_str(&emit(&done.document, roots[0])).unwrap()),
            Err(fault) => Err(format!("the harness failed with {fault}")),
        }
    }
}

/// A message of the harness.
fn object(value: &Value) -> Document {
    let mut document = Document::default();
    formats::json::parse(value.to_string().as_bytes(), &Limits::default(), &mut document).unwrap();
    document
}

fn json_of(document: &Document) -> Value {
    serde_json::from_str(&emit(document, document.root_index())).unwrap()
}

fn emit(document: &Document, root: u32) -> String {
    let mut document = document.clone();
    document.set_root(root);
    let mut text = Vec::new();
    formats::json::emit(&document, &mut text);
    String::from_utf8(text).unwrap()
}

/// Where a message may fail though `JSON.stringify` gives something.
fn is_limit(fault: &Fault) -> bool {
    matches!(fault.code(), Code::ScriptOutOfMemory | Code::ScriptOutputTooLarge | Code::ScriptTimeout)
}

fn is_allowed(fault: &Fault, expected: &[Value]) -> bool {
    let bytes: usize = expected.iter().filter_map(Value::as_str).map(str::len).sum();
    fault.code() == Code::ScriptOutputTooLarge && bytes > LARGE
}

fn is_failure_of_script(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::ScriptThrew
            | Code::ScriptNoReturn
            | Code::ScriptBadReturn
            | Code::ScriptStackOverflow
            | Code::ScriptOutputTooLarge
    )
}

/// Equal but for how numbers are written.
fn same_json(text: &str, expected: &str) -> bool {
    let (mut a, mut b) = (text.as_bytes(), expected.as_bytes());
    loop {
        match (token(&mut a), token(&mut b)) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == b || is_same_number(a, b) => {}
            _ => return false,
        }
    }
}

fn is_same_number(a: &[u8], b: &[u8]) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    a[0] != b'"' && b[0] != b'"' && number(a).is_some_and(|a| number(b) == Some(a))
}

/// A string, a punctuation mark, or the bytes up to the next one.
fn token<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let first = *rest.first()?;
    let end = match first {
        b'"' => {
            let mut at = 1;
            while rest[at] != b'"' {
                at += if rest[at] == b'\\' { 2 } else { 1 };
            }
            at + 1
        }
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        _ => rest.iter().position(|byte| b"{}[],:\"".contains(byte)).unwrap_or(rest.len()),
    };
    let (token, behind) = rest.split_at(end);
    *rest = behind;
    Some(token)
}
