//! The functions of the language: one table of names, styles and arities, checked at compile time.
//! What they do is in `text.rs`, `conversions.rs` and `calendar.rs`.

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `size(x)`
    Global,
    /// `x.contains(y)`
    Receiver,
    /// Either.
    Both,
}

use Style::{Both, Global, Receiver};

macro_rules! functions {
    ($($variant:ident = $name:literal, $style:ident, $least:literal, $most:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($variant,)* }

        /// Name, style, and how many arguments, the receiver counted.
        pub(crate) const TABLE: &[(Function, &str, Style, usize, usize)] =
            &[$((Function::$variant, $name, $style, $least, $most),)*];
    };
}

functions! {
    Size = "size", Both, 1, 1;
    Contains = "contains", Receiver, 2, 2;
    StartsWith = "startsWith", Receiver, 2, 2;
    EndsWith = "endsWith", Receiver, 2, 2;
    Matches = "matches", Both, 2, 2;
    Int = "int", Global, 1, 1;
    Uint = "uint", Global, 1, 1;
    Double = "double", Global, 1, 1;
    String = "string", Global, 1, 1;
    Bytes = "bytes", Global, 1, 1;
    Bool = "bool", Global, 1, 1;
    Dyn = "dyn", Global, 1, 1;
    Type = "type", Global, 1, 1;
    Duration = "duration", Global, 1, 1;
    Timestamp = "timestamp", Global, 1, 1;
    GetFullYear = "getFullYear", Receiver, 1, 2;
    GetMonth = "getMonth", Receiver, 1, 2;
    GetDate = "getDate", Receiver, 1, 2;
    GetDayOfMonth = "getDayOfMonth", Receiver, 1, 2;
    GetDayOfWeek = "getDayOfWeek", Receiver, 1, 2;
    GetDayOfYear = "getDayOfYear", Receiver, 1, 2;
    GetHours = "getHours", Receiver, 1, 2;
    GetMinutes = "getMinutes", Receiver, 1, 2;
    GetSeconds = "getSeconds", Receiver, 1, 2;
    GetMilliseconds = "getMilliseconds", Receiver, 1, 2;
    CharAt = "charAt", Receiver, 2, 2;
    IndexOf = "indexOf", Receiver, 2, 3;
    LastIndexOf = "lastIndexOf", Receiver, 2, 3;
    Join = "join", Receiver, 1, 2;
    LowerAscii = "lowerAscii", Receiver, 1, 1;
    UpperAscii = "upperAscii", Receiver, 1, 1;
    Replace = "replace", Receiver, 3, 4;
    Split = "split", Receiver, 2, 3;
    Substring = "substring", Receiver, 2, 3;
    Trim = "trim", Receiver, 1, 1;
    Abs = "math.abs", Global, 1, 1;
    Ceil = "math.ceil", Global, 1, 1;
    Floor = "math.floor", Global, 1, 1;
    Round = "math.round", Global, 1, 1;
    Trunc = "math.trunc", Global, 1, 1;
}

/// The most arguments any function takes, receiver counted.
pub(crate) const MAX_ARGUMENTS: usize = 4;

impl Function {
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Whether it reads the calendar, so that its second argument is a time zone.
    pub fn is_getter(self) -> bool {
        self.name().starts_with("get")
    }
}

/// The function that is called as `name` with `count` arguments (a receiver counted), or why
/// there is none.
pub(crate) fn find(name: &str, receiver: bool, count: usize) -> Result<Function, String> {
    let Some((function, _, style, least, most)) = TABLE.iter().find(|row| row.1 == name) else {
        return Err(unknown(name));
    };
    match (style, receiver) {
        (Receiver, false) => return Err(format!("calls `{name}` as a function; write it as `x.{name}(...)`")),
        (Global, true) => return Err(format!("calls `{name}` as a method; write it as `{name}(x)`")),
        _ => {}
    }
    if (*least..=*most).contains(&count) {
        return Ok(*function);
    }
    let own = usize::from(receiver);
    let (least, most) = (least - own, most - own.min(*most));
    let takes = if least == most { least.to_string() } else { format!("{least} or {most}") };
    let plural = if most == 1 { "" } else { "s" };
    Err(format!("gives `{name}` {} argument(s); it takes {takes} argument{plural}", count - own))
}

fn unknown(name: &str) -> String {
    let macros = ["all", "exists", "exists_one", "map", "filter", "has"];
    if macros.contains(&name) {
        return format!("uses the macro `{name}` with other arguments than it takes");
    }
    let same = |known: &str| known.eq_ignore_ascii_case(name) || known.replace("math.", "") == name;
    match TABLE.iter().find(|row| same(row.1)) {
        Some(row) => format!("calls an unknown function `{name}`; did you mean `{}`?", row.1),
        None => format!("calls an unknown function `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_name_style_and_arity() {
        assert_eq!(find("size", false, 1), Ok(Function::Size));
        assert_eq!(find("size", true, 1), Ok(Function::Size));
        assert_eq!(find("substring", true, 3), Ok(Function::Substring));
        assert!(find("contains", true, 3).unwrap_err().contains("it takes 1 argument"));
        assert!(find("contains", false, 2).unwrap_err().contains("x.contains"));
        assert!(find("int", true, 1).unwrap_err().contains("int(x)"));
        assert!(find("startswith", true, 2).unwrap_err().contains("did you mean `startsWith`"));
        assert!(find("nope", true, 2).unwrap_err().contains("unknown function"));
        assert!(find("all", true, 4).unwrap_err().contains("macro"));
    }

    #[test]
    fn every_function_is_documented() {
        let page = include_str!("../../../docs/expressions.md");
        for (_, name, ..) in TABLE {
            assert!(page.contains(&format!("`{name}(")) || page.contains(&format!(".{name}(")), "{name}");
        }
    }

    #[test]
    fn no_function_takes_more_than_is_reserved() {
        assert!(TABLE.iter().all(|row| row.3 <= row.4 && row.4 <= MAX_ARGUMENTS));
    }
}
