//! The files beside a pipeline file, as far as it names them.

use std::collections::HashMap;

use message::{Code, Fault};

use crate::model::{Language, PipelineFile, Script, Step};

/// Where scripts and tables come from: a folder, a KV entry, a test.
pub trait Files {
    /// The text of `name`, a path relative to the pipeline file without `..`; `None` when there is
    /// no such file.
    fn text(&self, name: &str) -> Option<&str>;
}

impl Files for HashMap<String, String> {
    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// No files at all.
impl Files for () {
    fn text(&self, _: &str) -> Option<&str> {
        None
    }
}

/// The text of one `script` step.
pub struct ScriptText {
    /// Position among the steps.
    pub step: usize,
    /// Where its name or its text stands in the pipeline file.
    pub pointer: String,
    /// What errors call it: the file's name, or `script 3` for one in the pipeline file itself.
    pub name: String,
    pub text: String,
    pub language: script::Language,
}

/// The scripts of all steps, in order. A missing one is a fault and left out.
pub fn scripts(file: &PipelineFile, files: &dyn Files, faults: &mut Vec<Fault>) -> Vec<ScriptText> {
    let mut found = Vec::new();
    for (step, script) in file.steps.iter().enumerate() {
        let Step::Script(script) = script else { continue };
        match script {
            Script::Inline(source) => {
                let language = match source.language {
                    Language::Ts => script::Language::TypeScript,
                    Language::Js => script::Language::JavaScript,
                };
                let (name, pointer) = (format!("script {step}"), format!("/steps/{step}/script/code"));
                found.push(ScriptText { step, pointer, name, text: source.code.clone(), language });
            }
            Script::File(name) => {
                let pointer = format!("/steps/{step}/script");
                let Some(text) = files.text(name) else {
                    let reason = format!("the script `{}` is not there", &**name);
                    faults.push(Fault::new(Code::ConfigFileNotFound, reason).at_pointer(pointer));
                    continue;
                };
                let (name, language) = (name.to_string(), script::Language::of_file(name));
                found.push(ScriptText { step, pointer, name, text: text.to_owned(), language });
            }
        }
    }
    found
}
