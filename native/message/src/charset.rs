//! Charsets of XML: their names, and how a `Content-Type` states one.

/// A charset that XML is read in. Inside, every text is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    Ascii,
    Latin1,
    Windows1252,
    /// Of the byte order that its byte order mark shows, or its first character.
    Utf16,
    Utf16Le,
    Utf16Be,
}

impl Charset {
    /// The charsets that are read, for messages.
    pub const READ: &str = "UTF-8, US-ASCII, ISO-8859-1, windows-1252 and UTF-16";

    /// The charset of a name: IANA's, its usual aliases, or what programs write instead.
    ///
    /// Not the labels of the web (WHATWG), by which `iso-8859-1` and `us-ascii` are windows-1252: a receiver that
    /// goes by RFC 7303 reads the bytes as the charset that is named.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Charset> {
        let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
        match () {
            () if is(&["utf-8", "utf8"]) => Some(Charset::Utf8),
            () if is(&["us-ascii", "ascii", "iso646-us", "ansi_x3.4-1968"]) => Some(Charset::Ascii),
            () if is(&["iso-8859-1", "iso_8859-1", "iso8859-1", "latin1", "latin-1", "l1"]) => Some(Charset::Latin1),
            () if is(&["windows-1252", "cp1252", "cp-1252", "x-cp1252"]) => Some(Charset::Windows1252),
            () if is(&["utf-16", "utf16"]) => Some(Charset::Utf16),
            () if is(&["utf-16le", "utf16le"]) => Some(Charset::Utf16Le),
            () if is(&["utf-16be", "utf16be"]) => Some(Charset::Utf16Be),
            () => None,
        }
    }

    /// IANA's preferred name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Charset::Utf8 => "UTF-8",
            Charset::Ascii => "US-ASCII",
            Charset::Latin1 => "ISO-8859-1",
            Charset::Windows1252 => "windows-1252",
            Charset::Utf16 => "UTF-16",
            Charset::Utf16Le => "UTF-16LE",
            Charset::Utf16Be => "UTF-16BE",
        }
    }

    /// Whether its bytes above 0x7F, if it has any, are UTF-8.
    #[must_use]
    pub fn is_utf8(self) -> bool {
        matches!(self, Charset::Utf8 | Charset::Ascii)
    }
}

/// The values of all `charset` parameters of a media type, without quotes; a quoted value may hold a semicolon.
/// A parameter without a value is empty.
pub fn charset_parameters(content_type: &str) -> impl Iterator<Item = &str> {
    parameters(content_type).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        is_charset(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The parameters of a media type that say nothing of its charset, such as the `action` of SOAP 1.2: each as it stands
/// there, without blanks around it.
pub fn other_parameters(content_type: &str) -> impl Iterator<Item = &str> {
    parameters(content_type)
        .map(str::trim)
        .filter(|one| !one.is_empty() && !is_charset(one.split('=').next().unwrap_or_default()))
}

fn is_charset(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("charset")
}

fn parameters(content_type: &str) -> impl Iterator<Item = &str> {
    split_parameters(content_type.split_once(';').map_or("", |(_, parameters)| parameters))
}

/// At semicolons outside quotes.
fn split_parameters(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        let ends = c == ';' && !quoted;
        if !escaped && c == '"' {
            quoted = !quoted;
        }
        escaped = quoted && !escaped && c == '\\';
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_have_names_in_any_case() {
        for (name, charset) in [
            ("UTF-8", Some(Charset::Utf8)),
            ("us-ascii", Some(Charset::Ascii)),
            ("Latin1", Some(Charset::Latin1)),
            ("CP1252", Some(Charset::Windows1252)),
            ("utf-16le", Some(Charset::Utf16Le)),
            ("klingon", None),
            ("", None),
        ] {
            assert_eq!(Charset::by_name(name), charset, "{name}");
        }
        for charset in [
            Charset::Utf8,
            Charset::Ascii,
            Charset::Latin1,
            Charset::Windows1252,
            Charset::Utf16,
            Charset::Utf16Le,
            Charset::Utf16Be,
        ] {
            assert_eq!(Charset::by_name(charset.name()), Some(charset));
        }
    }

    #[test]
    fn charset_parameters_are_found_among_others() {
        for (content_type, charsets) in [
            ("text/xml", vec![]),
            ("text/xml; charset=latin1", vec!["latin1"]),
            ("text/xml;x=1 ; CharSet = \"utf-16\" ", vec!["utf-16"]),
            ("a/b+xml; profile=\"a;charset=latin1\"", vec![]),
            ("a/b+xml; profile=\"x\\\"\";charset=utf-16", vec!["utf-16"]),
            ("a/b; charset", vec![""]),
            ("a/b; charset=a; charset=b", vec!["a", "b"]),
        ] {
            assert_eq!(charset_parameters(content_type).collect::<Vec<_>>(), charsets, "{content_type}");
        }
    }

    #[test]
    fn parameters_that_are_no_charset_are_kept_as_they_stand() {
        for (content_type, others) in [
            ("text/xml", vec![]),
            ("text/xml; charset=latin1;", vec![]),
            ("text/xml;x=1 ; CharSet = \"utf-16\"; Y=\"a;b\" ", vec!["x=1", "Y=\"a;b\""]),
            ("a/b+xml; profile=\"a;charset=latin1\"", vec!["profile=\"a;charset=latin1\""]),
            ("a/b; charset; flowed", vec!["flowed"]),
        ] {
            assert_eq!(other_parameters(content_type).collect::<Vec<_>>(), others, "{content_type}");
        }
    }
}
