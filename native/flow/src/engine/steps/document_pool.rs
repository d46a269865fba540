//! Documents that are free to be used again, for their memory.

use message::Document;

/// Small ones only, and not more than a few megabytes: what a burst, or a large payload, needed beyond is given back at
/// once.
#[derive(Default)]
pub struct DocumentPool {
    documents: Vec<Document>,
    bytes: usize,
}

const MAX_DOCUMENTS: usize = 4096;
const MAX_BYTES: usize = 8 << 20;
const MAX_BYTES_EACH: usize = 1 << 20;

impl DocumentPool {
    pub fn take(&mut self) -> Document {
        let document = self.documents.pop().unwrap_or_default();
        self.bytes -= document.held_bytes();
        document
    }

    /// Most come from `take`; those of large payloads, which a script has had, do not.
    pub fn put(&mut self, document: Document) {
        let bytes = document.held_bytes();
        if self.documents.len() < MAX_DOCUMENTS && bytes <= MAX_BYTES_EACH && self.bytes + bytes <= MAX_BYTES {
            self.bytes += bytes;
            self.documents.push(document);
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
        assert_eq!(pool.documents.len(), 1);
        assert!(pool.take().held_bytes() > 0 && pool.documents.is_empty());
        assert_eq!(pool.take().held_bytes(), 0);
    }

    #[test]
    fn no_burst_leaves_more_than_a_few() {
        let mut pool = DocumentPool::default();
        (0..2 * MAX_DOCUMENTS).for_each(|_| pool.put(parsed("{}")));
        assert_eq!(pool.documents.len(), MAX_DOCUMENTS);
    }

    #[test]
    fn large_ones_together_are_kept_up_to_a_bound() {
        let mut pool = DocumentPool::default();
        let text = format!("\"{}\"", "a".repeat(MAX_BYTES_EACH / 2));
        (0..40).for_each(|_| pool.put(parsed(&text)));
        assert!(pool.bytes > MAX_BYTES / 2 && pool.bytes <= MAX_BYTES);
        while pool.take().held_bytes() > 0 {}
        assert_eq!(pool.bytes, 0);
    }
}
