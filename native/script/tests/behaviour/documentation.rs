//! The examples of `docs/scripts.md` do what they say.

use crate::support::{run_in, texts};
use message::Fault;
use script::{Language, Runner, compile};

const DOCUMENTATION: &str = include_str!("../../../../docs/scripts.md");

struct Example {
    source: String,
    input: Option<String>,
    outputs: Vec<String>,
    error: Option<String>,
}

fn example(block: &str) -> Example {
    let marked = |mark: &str| {
        block.lines().filter_map(|line| line.strip_prefix(mark)).map(|rest| rest.trim().to_owned()).collect::<Vec<_>>()
    };
    // The source begins below the line that says what comes in.
    let source =
        block.lines().filter(|line| !["// in:", "// out:", "// error:"].iter().any(|mark| line.starts_with(mark)));
    Example {
        source: source.collect::<Vec<_>>().join("\n"),
        input: marked("// in:").pop(),
        outputs: marked("// out:"),
        error: marked("// error:").pop(),
    }
}

/// As the page writes errors: code, field or line and column, reason.
fn shown(fault: &Fault) -> String {
    let place = match (&fault.place().field, fault.place().line, fault.place().column) {
        (Some(field), ..) => format!(" in {field}"),
        (None, Some(line), Some(column)) => format!(" at {line}:{column}"),
        _ => String::new(),
    };
    format!("{}{place}: {}", fault.code(), fault.reason())
}

#[test]
fn every_example_does_what_it_says() {
    let blocks = DOCUMENTATION.split("```ts\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let (mut run, mut compiled) = (0, 0);
    for block in blocks {
        let example = example(block);
        let program = match compile(&example.source, Language::TypeScript, "t.ts") {
            Ok(program) => program,
            Err(fault) => {
                assert_eq!(Some(shown(&fault)), example.error, "{block}");
                continue;
            }
        };
        compiled += 1;
        let Some(input) = &example.input else { continue };
        let done = run_in(&Runner::new(), &program, input);
        match texts(&done) {
            Ok(outputs) => assert_eq!((outputs, None), (example.outputs, example.error), "{block}"),
            Err(fault) => assert_eq!(Some(shown(&fault)), example.error, "{block}"),
        }
        run += 1;
    }
    assert!(compiled > run && run >= 12, "{compiled} examples, {run} of them run");
}
