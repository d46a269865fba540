//! What a script has said to its `console` while it ran on one message.

/// Lines of one message that are kept, and characters of one.
pub const MAX_LINES: usize = 20;
pub const MAX_LINE_BYTES: usize = 4096;

/// By weight, the lightest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Log,
    Info,
    Warn,
    Error,
}

impl Level {
    pub const ALL: [Level; 5] = [Level::Debug, Level::Log, Level::Info, Level::Warn, Level::Error];

    /// The name of the function of `console`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Log => "log",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// One line: without control characters, at most [`MAX_LINE_BYTES`] long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
    /// Of the script's file, where it is known.
    pub line: Option<u32>,
}

/// The lines of one message. Empty ones take no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub lines: Vec<Line>,
    /// How many there were beyond [`MAX_LINES`].
    pub left_out: u32,
}

impl Said {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.left_out == 0
    }
}
