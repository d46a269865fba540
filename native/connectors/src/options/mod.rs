//! What options of several kinds are made of.

mod csv;
mod secret;
mod span;
pub mod text;

pub use csv::{Csv, CsvEmpty, CsvHeader, CsvLineEnd};
pub use secret::{Secret, Secrets, SenderSecret, SenderSecrets};
pub use span::Span;
pub use text::{HeaderText, OriginHost, PassedHeader, QueryName, SenderHeader, TopicFilter, UrlText};

/// Left out of the text that a revision is made of, so that a file keeps its revision when options are added.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
