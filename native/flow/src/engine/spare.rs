//! Documents that are free to be used again, for their memory.

use message::Document;

/// Few and small ones only: what a burst, or a large payload, needed beyond is given back at once.
#[derive(Default)]
pub struct Spare(Vec<Document>);

const MOST: usize = 256;
const MOST_BYTES_EACH: usize = 1 << 20;

impl Spare {
    pub fn take(&mut self) -> Document {
        self.0.pop().unwrap_or_default()
    }

    /// Most come from `take`; those of large payloads, which a script has had, do not.
    pub fn keep(&mut self, document: Document) {
        if self.0.len() < MOST && document.held_bytes() <= MOST_BYTES_EACH {
            self.0.push(document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::Limits;

    fn parsed(payload: &str) -> Document {
        let mut document = Document::default();
        formats::json::parse(payload.as_bytes(), &Limits::default(), &mut document).unwrap();
        document
    }

    #[test]
    fn a_small_document_is_used_again_and_a_large_one_is_not() {
        let mut spare = Spare::default();
        spare.keep(parsed("{\"a\":1}"));
        spare.keep(parsed(&format!("\"{}\"", "a".repeat(MOST_BYTES_EACH))));
        // Small as text, large as a tape.
        spare.keep(parsed(&format!("[{}1]", "1,".repeat(MOST_BYTES_EACH / 16))));
        assert_eq!(spare.0.len(), 1);
        assert!(spare.take().held_bytes() > 0 && spare.0.is_empty());
        assert_eq!(spare.take().held_bytes(), 0);
    }

    #[test]
    fn no_burst_leaves_more_than_a_few() {
        let mut spare = Spare::default();
        (0..2 * MOST).for_each(|_| spare.keep(parsed("{}")));
        assert_eq!(spare.0.len(), MOST);
    }
}
