//! A copy of the source in which ranges are blanked, each character by one of its own length.

/// The text on its way from TypeScript to JavaScript.
pub struct Blanks<'s> {
    source: &'s str,
    text: Vec<u8>,
}

impl<'s> Blanks<'s> {
    pub fn new(source: &'s str) -> Blanks<'s> {
        Blanks { source, text: source.as_bytes().to_vec() }
    }

    pub fn source(&self) -> &'s str {
        self.source
    }

    /// Blanks a range. Line ends stay. Other characters become white space of the same length, in
    /// bytes and in UTF-16 units, so that no column moves whichever way it is counted.
    pub fn blank(&mut self, start: usize, end: usize) {
        let Some(range) = self.source.get(start..end) else { return };
        let mut at = start;
        for c in range.chars() {
            let blank: &str = match (c, c.len_utf8()) {
                ('\n' | '\r' | '\u{2028}' | '\u{2029}', _) => "",
                (_, 1) => " ",
                (_, 2) => "\u{a0}",
                (_, 3) => "\u{2003}",
                _ => "\u{a0}\u{a0}",
            };
            self.text[at..at + blank.len()].copy_from_slice(blank.as_bytes());
            at += c.len_utf8();
        }
    }

    /// Blanks a range, and ends the statement before it where it began: without the statement in
    /// between, what follows could otherwise continue that one.
    pub fn blank_statement(&mut self, start: usize, end: usize) {
        self.blank(start, end);
        self.put(start, b';');
    }

    /// Writes an ASCII character in the place of one.
    pub fn put(&mut self, at: usize, byte: u8) {
        if let Some(place) = self.text.get_mut(at)
            && place.is_ascii()
        {
            *place = byte;
        }
    }

    /// Writes `byte` at the last place of the range that is one byte wide and on its last line.
    pub fn put_last(&mut self, start: usize, end: usize, byte: u8) -> bool {
        let place = (start..end).rev().find(|at| self.text[*at].is_ascii());
        match place {
            Some(at) if self.text[at] == b' ' => {
                self.text[at] = byte;
                true
            }
            _ => false,
        }
    }

    /// Whether a line ends inside the range.
    pub fn has_line_end(&self, start: usize, end: usize) -> bool {
        self.source.get(start..end).is_some_and(|range| range.contains(['\n', '\r', '\u{2028}', '\u{2029}']))
    }

    /// The position of the first character at or after `at` that is neither white space nor comment.
    pub fn skip_trivia(&self, mut at: usize) -> usize {
        let bytes = self.source.as_bytes();
        loop {
            let rest = self.source.get(at..).unwrap_or_default();
            let trimmed = rest.trim_start();
            at += rest.len() - trimmed.len();
            if bytes.get(at..at + 2) == Some(b"//") {
                at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if bytes.get(at..at + 2) == Some(b"/*") {
                at += trimmed.find("*/").map_or(trimmed.len(), |end| end + 2);
            } else {
                return at;
            }
        }
    }

    pub fn byte(&self, at: usize) -> u8 {
        self.source.as_bytes().get(at).copied().unwrap_or(0)
    }

    /// The character of the text as it is now, after the blanks and comments from `at` on.
    pub fn next_written(&self, at: usize) -> u8 {
        let blanked = |at: usize| matches!(self.text.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
        let mut at = at;
        while at < self.text.len() {
            if blanked(at) {
                at += 1;
            } else if self.text[at] >= 0x80 && self.text[at] != self.source.as_bytes()[at] {
                at += 1; // the wide blanks
            } else if self.text[at] == b'/' && self.skip_trivia(at) > at {
                at = self.skip_trivia(at);
            } else {
                return self.text[at];
            }
        }
        0
    }

    pub fn finish(self) -> Option<String> {
        String::from_utf8(self.text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_keeps_its_length() {
        let source = "a\té\u{4e2d}\u{1f600}\r\nb";
        let mut blanks = Blanks::new(source);
        blanks.blank(0, source.len());
        let text = blanks.finish().unwrap();
        assert_eq!(text.len(), source.len());
        assert_eq!(text.encode_utf16().count(), source.encode_utf16().count());
        assert!(text.trim().is_empty());
        assert!(text.contains("\r\n"));
    }
}
