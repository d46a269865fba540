//! Runs oxc and the visitors on a thread of their own: the stack for them is ours to choose, and a
//! panic in there is an error of this script.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use message::{Code, Fault, has_stack};
use oxc_allocator::Allocator;
use oxc_ast::ast::Program;
use oxc_ast_visit::Visit;
use oxc_parser::{ParseOptions, Parser};
use oxc_span::SourceType;

use super::position;
use super::refuse::Refuse;
use super::types::Types;
use crate::program::Language;

/// Reserved, not used up: what is nested within the caps of `nesting` needs a fraction of it.
const STACK: usize = 256 << 20;

pub fn on_large_stack(source: &str, language: Language) -> Result<String, Fault> {
    let defect = |what: &str| Fault::new(Code::InternalPanic, format!("the script's parser failed: {what}"));
    if has_stack(STACK) {
        let parsed = catch_unwind(AssertUnwindSafe(|| stripped(source, language)));
        return parsed.unwrap_or_else(|_| Err(defect("it panicked on this script")));
    }
    thread::scope(|scope| {
        let parser = thread::Builder::new()
            .name("script-parser".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || stripped(source, language));
        match parser {
            Ok(parser) => parser.join().unwrap_or_else(|_| Err(defect("it panicked on this script"))),
            Err(error) => Err(defect(&error.to_string())),
        }
    })
}

fn stripped(source: &str, language: Language) -> Result<String, Fault> {
    let allocator = Allocator::default();
    let source_type = match language {
        Language::TypeScript => SourceType::ts().with_module(true),
        Language::JavaScript => SourceType::mjs().with_jsx(true),
    };
    let program = match parse(&allocator, source, source_type) {
        Ok(program) => program,
        Err(fault) => return Err(jsx(source, language).unwrap_or(fault)),
    };
    let mut refuse = Refuse::new(source);
    refuse.visit_program(&program);
    refuse.verdict(&program)?;
    match language {
        Language::JavaScript => Ok(source.to_owned()),
        Language::TypeScript => Types::strip(source, &program),
    }
}

fn parse<'a>(allocator: &'a Allocator, source: &'a str, source_type: SourceType) -> Result<Program<'a>, Fault> {
    let options = ParseOptions { preserve_parens: true, ..ParseOptions::default() };
    let parsed = Parser::new(allocator, source, source_type).with_options(options).parse();
    let errors = parsed.diagnostics.iter();
    let first = errors.min_by_key(|error| error.labels.iter().map(|label| label.offset()).min().unwrap_or(u32::MAX));
    let Some(error) = first else {
        return if parsed.panicked {
            Err(Fault::new(Code::ScriptSyntax, "the script does not parse"))
        } else {
            Ok(parsed.program)
        };
    };
    let fault = Fault::new(Code::ScriptSyntax, error.message.to_string());
    let offset = error.labels.iter().map(|label| label.offset()).min();
    Err(offset.map_or(fault.clone(), |offset| position::at(fault, source, offset as usize)))
}

/// A TypeScript file that parses only with JSX in it deserves to be told so.
fn jsx(source: &str, language: Language) -> Option<Fault> {
    if language != Language::TypeScript {
        return None;
    }
    let allocator = Allocator::default();
    let program = parse(&allocator, source, SourceType::tsx().with_module(true)).ok()?;
    let mut refuse = Refuse::new(source);
    refuse.visit_program(&program);
    refuse.verdict(&program).err().filter(|fault| fault.code() == Code::ScriptUnsupported)
}
