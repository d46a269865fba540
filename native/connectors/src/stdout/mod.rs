//! Standard output: for people to look at, one line per message.

pub mod sink;
