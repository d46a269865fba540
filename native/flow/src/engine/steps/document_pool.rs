//! Documents that are free to be used again, for their memory.

use message::Document;

/// Few and small ones only: what a burst, or a large payload, needed beyond is given back at once.
#[derive(Default)]
pub struct DocumentPool(Vec<Document>);

const MAX_DOCUMENTS: usize = 256;
const MAX_BYTES_EACH: usize = 1 << 20;

impl DocumentPool {
    pub fn take(&mut self) -> Document {
        self.0.pop().unwrap_or_default()
    }

    /// Most come from `take`; those of large payloads, which a script has had, do not.
    pub fn put(&mut self, document: Document) {
        if self.0.len() < MAX_DOCUMENTS && document.held_bytes() <= MAX_BYTES_EACH {
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
        let mut pool = DocumentPool::default();
        pool.put(parsed("{\"a\":1}"));
        pool.put(parsed(&format!("\"{}\"", "a".repeat(MAX_BYTES_EACH))));
        // Small as text, large as a tape.
        pool.put(parsed(&format!("[{}1]", "1,".repeat(MAX_BYTES_EACH / 16))));
        assert_eq!(pool.0.len(), 1);
        assert!(pool.take().held_bytes() > 0 && pool.0.is_empty());
        assert_eq!(pool.take().held_bytes(), 0);
    }

    #[test]
    fn no_burst_leaves_more_than_a_few() {
        let mut pool = DocumentPool::default();
        (0..2 * MAX_DOCUMENTS).for_each(|_| pool.put(parsed("{}")));
        assert_eq!(pool.0.len(), MAX_DOCUMENTS);
    }
}
