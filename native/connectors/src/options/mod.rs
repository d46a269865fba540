//! What options of several kinds are made of.

mod secret;
mod span;
pub mod text;

pub use secret::{Secret, Secrets};
pub use span::Span;
pub use text::{HeaderText, OriginHost, PassedHeader, QueryName, SenderHeader, UrlText};
