//! Subjects and the patterns that match them, by the rules of the server's sublist.

/// Whether `subject` is one that `pattern` stands for. Wildcards in `subject` are tokens like any other; with an empty
/// token nothing matches.
#[must_use]
pub fn matches(pattern: &str, subject: &str) -> bool {
    if subject.is_empty() || subject.starts_with('.') || subject.ends_with('.') || subject.contains("..") {
        return false;
    }
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        let token = tokens.next();
        match (wanted, token) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether `pattern` stands for everything that `narrow` stands for.
#[must_use]
pub fn covers(pattern: &str, narrow: &str) -> bool {
    let mut tokens = narrow.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            (_, Some(">")) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether some subject is matched by both.
#[must_use]
pub fn collide(one: &str, other: &str) -> bool {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(one), Some(other)) if one == other || one == "*" || other == "*" => {}
            _ => return false,
        }
    }
}

#[must_use]
pub fn has_wildcard(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

/// Whether it can be subscribed to.
#[must_use]
pub fn is_valid(subject: &str) -> bool {
    let last = subject.split('.').count() - 1;
    subject.split('.').enumerate().all(|(index, token)| {
        !token.is_empty() && !token.contains([' ', '\t', '\r', '\n', '\x0c']) && (token != ">" || index == last)
    })
}

/// Whether pedantic clients may publish to it.
#[must_use]
pub fn is_literal(subject: &str) -> bool {
    subject.split('.').all(|token| !matches!(token, "" | "*" | ">"))
}

/// Whether it can name a stream or a consumer.
#[must_use]
pub fn is_asset_name(name: &str) -> bool {
    !name.is_empty() && !name.contains([' ', '\t', '\r', '\n', '\x0c', '.', '*', '>', '\\', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_token_by_token() {
        for (pattern, subject) in [("a.b", "a.b"), ("a.*", "a.b"), ("a.>", "a.b.c"), (">", "a"), ("*.*", "a.b")] {
            assert!(matches(pattern, subject), "{pattern} {subject}");
        }
        for (pattern, subject) in
            [("a.b", "a"), ("a.>", "a"), ("*", "a.b"), ("a.*", "b.a"), ("a", "a.b"), (">", "a..b")]
        {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
    }

    #[test]
    fn patterns_cover_and_collide() {
        assert!(covers("a.>", "a.*") && covers("a.*", "a.*") && !covers("a.*", "a.>") && !covers("a.b", "a.*"));
        for (one, other) in [("a.*", "*.b"), ("a.>", "a.b"), ("a.>", "*.b.c"), ("a", "a")] {
            assert!(collide(one, other) && collide(other, one), "{one} {other}");
        }
        assert!(!collide("a.*", "a") && !collide("a.b", "a.c") && !collide("a.>", "a"));
    }

    #[test]
    fn subjects_are_valid_or_not() {
        assert!(is_valid("a.*.>") && is_valid("a*b") && !is_valid("a..b") && !is_valid("a.>.b") && !is_valid(""));
        assert!(is_literal("a.b") && !is_literal("a.*") && !is_literal("a."));
        assert!(is_asset_name("A-1_b") && !is_asset_name("a.b") && !is_asset_name(""));
    }
}
