//! From an exception to a fault: what was thrown, and where in the customer's file.

use message::{Code, Fault};

use super::guard::{Guard, Stop};
use super::raw::{Js, Owned, Tag};
use crate::strip::Origin;

/// Longest reason that is passed on, in characters.
const REASON: usize = 300;

/// What the engine says of a used up stack.
const TOO_DEEP: &str = "Maximum call stack size exceeded";

/// The name of prelude.js for a locale that is given to a built-in function.
const LOCALE: &str = "LocaleError";

/// `Intl` stays undefined, so that a script can ask whether it is there.
const NO_INTL: &str = "there is no `Intl` in a script; make texts of dates of `toISOString()` or of the UTC methods of \
     Date, of numbers with `toFixed()`, and compare texts with `<` and `>`";

/// Takes the pending exception and says what it means for the message.
pub fn describe(js: Js, guard: &Guard, origin: Origin<'_>) -> Fault {
    let exception = js.exception();
    if let Some(stop) = guard.stopped() {
        return stopped(stop, guard, origin);
    }
    let stack = stack_of(js, &exception);
    let fault = reason_of(js, &exception);
    // Reading a hostile exception may itself have run into a limit.
    if let Some(stop) = guard.stopped() {
        return stopped(stop, guard, origin);
    }
    place(fault, &stack, origin)
}

/// A script that was ended from outside.
pub fn stopped(stop: Stop, guard: &Guard, origin: Origin<'_>) -> Fault {
    let fault = match stop {
        Stop::Timeout => {
            Fault::new(Code::ScriptTimeout, format!("more than {} ms of CPU time", guard.limit().as_millis()))
        }
        Stop::OutOfMemory => {
            Fault::new(Code::ScriptOutOfMemory, format!("more than {} MiB of memory", guard.memory() >> 20))
        }
    };
    fault.in_file(origin.file)
}

/// Takes the pending exception of a compilation.
pub fn describe_syntax(js: Js, origin: Origin<'_>) -> Fault {
    let exception = js.exception();
    let stack = stack_of(js, &exception);
    // Without a message it is the exception for used up memory, which may be plain null.
    let fault = match text_of(&exception, c"message") {
        Some(reason) if reason != TOO_DEEP && reason != "out of memory" => {
            Fault::new(Code::ScriptSyntax, shorten(&reason))
        }
        _ => Fault::new(Code::ScriptTooLarge, "the script is too large or nested too deep to compile"),
    };
    place(fault, &stack, origin)
}

fn reason_of(js: Js, exception: &Owned) -> Fault {
    let thrown = |what: &str| Fault::new(Code::ScriptThrew, shorten(what));
    match exception.tag() {
        Tag::Object => {
            let message = text_of(exception, c"message").unwrap_or_default();
            let name = text_of(exception, c"name").unwrap_or_default();
            forget_exception(js);
            if exception.is_error() && name == "RangeError" && message == TOO_DEEP {
                return Fault::new(Code::ScriptStackOverflow, "the calls are nested too deep");
            }
            if exception.is_error() && name == LOCALE {
                return Fault::new(Code::ScriptLocale, shorten(&message));
            }
            if exception.is_error() && name == "ReferenceError" && message == "Intl is not defined" {
                return Fault::new(Code::ScriptLocale, NO_INTL);
            }
            match (name.is_empty(), message.is_empty()) {
                (false, false) => thrown(&format!("{name}: {message}")),
                (false, true) => thrown(&name),
                (true, false) => thrown(&message),
                (true, true) if exception.is_function() => thrown("threw a function"),
                (true, true) => thrown("threw an object without a message"),
            }
        }
        Tag::Text => {
            let text = exception.with_text(|text| String::from_utf8_lossy(text).into_owned());
            thrown(&format!("threw {:?}", text.unwrap_or_default()))
        }
        Tag::Int(value) => thrown(&format!("threw {value}")),
        Tag::Float(value) => thrown(&format!("threw {value}")),
        Tag::Bool(value) => thrown(&format!("threw {value}")),
        Tag::Null => thrown("threw null"),
        Tag::Undefined => thrown("threw undefined"),
        Tag::Symbol => thrown("threw a symbol"),
        Tag::BigInt => thrown("threw a bigint"),
        Tag::Other => thrown("threw something unknown"),
    }
}

/// A property that is a string; anything else, or a getter that throws, reads as none.
fn text_of(value: &Owned, name: &std::ffi::CStr) -> Option<String> {
    let property = value.get_named(name).ok()?;
    match property.tag() {
        Tag::Text => property.with_text(|text| String::from_utf8_lossy(text).into_owned()).ok(),
        _ => None,
    }
}

fn stack_of(js: Js, exception: &Owned) -> String {
    if exception.tag() != Tag::Object || !exception.is_error() {
        return String::new();
    }
    let stack = text_of(exception, c"stack");
    forget_exception(js);
    stack.unwrap_or_default()
}

fn forget_exception(js: Js) {
    drop(js.exception());
}

/// The first `FILE:LINE:COLUMN` of the trace is where it went wrong.
fn place(fault: Fault, stack: &str, origin: Origin<'_>) -> Fault {
    let fault = fault.in_file(origin.file);
    match position(stack, origin.file) {
        Some((line, column)) => fault.at_line(line, origin.column(line, column)),
        None => fault,
    }
}

/// Line and column, as the engine counts, of the first place of a trace that is in a file.
pub fn position(stack: &str, file: &str) -> Option<(u32, u32)> {
    stack.lines().find_map(|line| {
        let start = line.find(&format!("{file}:"))?;
        let mut numbers = line[start + file.len() + 1..].split([':', ')']).map_while(|part| part.parse().ok());
        numbers.next().zip(numbers.next())
    })
}

/// What a customer's script says is shown to people: without control characters, and not too long.
pub fn shorten(text: &str) -> String {
    let mut short = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == REASON {
            short.push('…');
            break;
        }
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_hold_no_control_characters() {
        assert_eq!(shorten("a\u{1b}[31mb\n\u{202e}c"), "a\\u{1b}[31mb\\n\\u{202e}c");
        assert_eq!(shorten(&"x".repeat(1000)).chars().count(), REASON + 1);
    }

    #[test]
    fn the_place_is_the_first_line_of_the_own_file() {
        let stack = "    at map (native)\n    at f (net.ts:3:14)\n    at <anonymous> (net.ts:9:1)\n";
        let fault = place(Fault::new(Code::ScriptThrew, "x"), stack, Origin { file: "net.ts", text: "" });
        assert_eq!((fault.place().line, fault.place().column), (Some(3), Some(14)));
    }
}
