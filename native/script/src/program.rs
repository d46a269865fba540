//! A script, checked and compiled: what `compile` gives and executors run.

use std::sync::atomic::{AtomicU64, Ordering};

use message::{Fault, Limits};

use crate::runtime::{Form, compile as to_bytecode};
use crate::strip::{self, Origin};

/// What a script is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    TypeScript,
    JavaScript,
}

impl Language {
    /// By a file's name: `.ts` and `.mts` are TypeScript, anything else is JavaScript.
    #[must_use]
    pub fn of_file(name: &str) -> Language {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        match extension {
            Some("ts" | "mts") => Language::TypeScript,
            _ => Language::JavaScript,
        }
    }
}

/// Names a program in executors and in tasks. Never used for another program while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProgramId(u64);

impl ProgramId {
    fn next() -> ProgramId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ProgramId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Display for ProgramId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A script that compiled. Share it by `Arc`; an executor that has loaded it runs it by its id.
pub struct Program {
    id: ProgramId,
    file: Box<str>,
    javascript: Box<str>,
    /// The source, when columns in bytes and in characters differ; otherwise the JavaScript will do.
    source: Option<Box<str>>,
    bytecode: Box<[u8]>,
}

impl Program {
    #[must_use]
    pub fn id(&self) -> ProgramId {
        self.id
    }

    pub(crate) fn bytecode(&self) -> &[u8] {
        &self.bytecode
    }

    pub(crate) fn origin(&self) -> Origin<'_> {
        Origin { file: &self.file, text: self.source.as_deref().unwrap_or(&self.javascript) }
    }

    /// The name under which errors speak of the script.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The source, where the JavaScript does not do for the columns of errors.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The script without its types: what is sent to nodes. Lines and columns are the source's.
    #[must_use]
    pub fn javascript(&self) -> &str {
        &self.javascript
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("file", &self.file)
            .field("bytecode", &self.bytecode.len())
            .finish_non_exhaustive()
    }
}

/// Checks and compiles `source`, and runs its top level once, so that what is wrong with a script
/// shows when it is installed and not at its first message.
///
/// Blocks for some milliseconds: a thread with a large stack is started for the parser. Meant for
/// the control path. `file_name` only names the script in errors.
///
/// # Errors
/// `script/too-large`, `script/syntax`, `script/unsupported`, `script/no-default-export`, `script/async`,
/// each with line and column where there is one; `script/threw`, `script/timeout` and `script/out-of-memory`
/// when the top level does so.
pub fn compile(source: &str, language: Language, file_name: &str) -> Result<Program, Fault> {
    let file: String = file_name.chars().filter(|c| !c.is_control()).collect();
    let javascript = strip::strip(source, language, &file)?;
    let bytecode = to_bytecode(&javascript, Origin { file: &file, text: source }, Form::Module)?;
    let program = Program {
        id: ProgramId::next(),
        file: file.into(),
        javascript: javascript.into(),
        source: (!source.is_ascii()).then(|| source.into()),
        bytecode,
    };
    crate::runtime::try_load(&program, &Limits::default())?;
    Ok(program)
}

/// Compiles again, in another process, what [`compile`] has checked: a program's file, JavaScript and source. Bytecode is
/// not handed on: the engine trusts it. The top level is not run. Starts no thread.
///
/// # Errors
/// `script/syntax`, `script/too-large`: when the text is not that of a program.
pub fn compile_checked(file: &str, javascript: &str, source: Option<&str>) -> Result<Program, Fault> {
    let origin = Origin { file, text: source.unwrap_or(javascript) };
    let bytecode = to_bytecode(javascript, origin, Form::Module)?;
    let (id, source) = (ProgramId::next(), source.map(Into::into));
    Ok(Program { id, file: file.into(), javascript: javascript.into(), source, bytecode })
}

/// TypeScript to JavaScript of the same length, with every line and column where it was. The script
/// is parsed, but not compiled; blocks as [`compile`] does.
///
/// # Errors
/// `script/too-large`, `script/syntax`, `script/unsupported`, `script/no-default-export`, `script/async`.
pub fn strip_types(source: &str, file_name: &str) -> Result<String, Fault> {
    strip::strip(source, Language::TypeScript, file_name)
}
