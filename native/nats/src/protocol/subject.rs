//! Which texts can be subjects: tokens of printable characters, between dots.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectError {
    Empty,
    /// Two dots in a row, or one at an end.
    EmptyToken,
    /// A blank or a control character.
    Character,
    /// `*` or `>` in a subject to publish to.
    Wildcard,
    /// `>` that is not the last token, or a wildcard beside other characters.
    MisplacedWildcard,
    /// Longer than a server takes in one line.
    TooLong,
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the subject is empty",
            Self::EmptyToken => "the subject has an empty token: two dots in a row, or one at an end",
            Self::Character => "the subject has a blank or a control character",
            Self::Wildcard => "a subject to publish to has no wildcards",
            Self::MisplacedWildcard => "`*` stands alone between dots, `>` alone at the end",
            Self::TooLong => "the subject is longer than 1,024 bytes",
        })
    }
}

impl std::error::Error for SubjectError {}

const MAX_LENGTH: usize = 1024;

/// Whether a message can be published to `subject`.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_subject(subject: &str) -> Result<(), SubjectError> {
    check_tokens(subject)?;
    let wildcard = subject.split('.').any(|token| token == "*" || token == ">");
    if wildcard { Err(SubjectError::Wildcard) } else { Ok(()) }
}

/// Whether `filter` can be subscribed to.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), SubjectError> {
    check_tokens(filter)?;
    let last = filter.split('.').count() - 1;
    let misplaced = |(index, token): (usize, &str)| match token {
        "*" => false,
        ">" => index != last,
        token => token.contains(['*', '>']),
    };
    if filter.split('.').enumerate().any(misplaced) { Err(SubjectError::MisplacedWildcard) } else { Ok(()) }
}

fn check_tokens(subject: &str) -> Result<(), SubjectError> {
    if subject.is_empty() {
        return Err(SubjectError::Empty);
    }
    if subject.len() > MAX_LENGTH {
        return Err(SubjectError::TooLong);
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(SubjectError::Character);
    }
    if subject.split('.').any(str::is_empty) { Err(SubjectError::EmptyToken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_filters() {
        for good in ["a", "a.b.c", "$JS.API.INFO", "orders.é", "a*b", "a.b>"] {
            assert_eq!(check_subject(good), Ok(()), "{good}");
        }
        for good in ["a", "*", ">", "a.*.c", "a.>", "*.*.>"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        let refused = [
            ("", SubjectError::Empty),
            (".", SubjectError::EmptyToken),
            ("a.", SubjectError::EmptyToken),
            (".a", SubjectError::EmptyToken),
            ("a..b", SubjectError::EmptyToken),
            ("a b", SubjectError::Character),
            ("a\r\nPUB x 0", SubjectError::Character),
            ("a\0", SubjectError::Character),
        ];
        for (subject, error) in refused {
            assert_eq!(check_subject(subject), Err(error), "{subject:?}");
            assert_eq!(check_filter(subject), Err(error), "{subject:?}");
        }
        assert_eq!(check_subject("a.*"), Err(SubjectError::Wildcard));
        assert_eq!(check_subject(">"), Err(SubjectError::Wildcard));
        assert_eq!(check_filter("a.>.b"), Err(SubjectError::MisplacedWildcard));
        assert_eq!(check_filter("a*.b"), Err(SubjectError::MisplacedWildcard));
        assert_eq!(check_subject(&"a".repeat(1025)), Err(SubjectError::TooLong));
    }
}
