//! Lookup tables: rows by key, read by expressions and scripts, never changed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::{Document, Value};

/// About what a key costs beside its text: its slot, its length, the allocator's share.
const BYTES_PER_KEY: usize = 64;

/// The rows of one file. All of them are values of one document, so that a lookup copies nothing.
#[derive(Debug, Default)]
pub struct Table {
    document: Document,
    rows: HashMap<Box<str>, u32>,
    columns: Box<[Box<str>]>,
}

impl Table {
    /// `columns` are the names that every row has; none when rows differ.
    #[must_use]
    pub fn new(document: Document, columns: Box<[Box<str>]>) -> Table {
        Table { document, rows: HashMap::new(), columns }
    }

    /// Makes a node of the document the row of `key`. Gives false, and changes nothing, when the key has a row.
    pub fn insert(&mut self, key: &str, node: u32) -> bool {
        match self.rows.entry(key.into()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(node);
                true
            }
        }
    }

    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// To build rows in, before they are inserted.
    pub fn document_mut(&mut self) -> &mut Document {
        &mut self.document
    }

    /// The row of a key.
    #[inline]
    #[must_use]
    pub fn row(&self, key: &str) -> Option<Value<'_>> {
        self.rows.get(key).map(|node| self.document.value_at(*node, false))
    }

    /// Every key, with the node of its row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.rows.iter().map(|(key, node)| (&**key, *node))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names that every row has; empty when that is not known.
    #[must_use]
    pub fn columns(&self) -> &[Box<str>] {
        &self.columns
    }

    /// Bytes of memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let keys: usize = self.rows.keys().map(|key| key.len() + BYTES_PER_KEY).sum();
        self.document.held_bytes() + keys
    }
}

/// The tables of a pipeline, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tables(Arc<[(Box<str>, Arc<Table>)]>);

impl Tables {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Table>> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, table)| table)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Arc<Table>)> {
        self.0.iter().map(|(name, table)| (&**name, table))
    }

    /// Bytes of memory of all of them, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.0.iter().map(|(_, table)| table.memory()).sum()
    }
}

impl FromIterator<(Box<str>, Arc<Table>)> for Tables {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Arc<Table>)>>(tables: I) -> Tables {
        Tables(tables.into_iter().collect())
    }
}

/// The same tables, not such with the same rows.
impl PartialEq for Tables {
    fn eq(&self, other: &Tables) -> bool {
        self.names().eq(other.names())
            && self.0.iter().zip(&*other.0).all(|((_, one), (_, other))| Arc::ptr_eq(one, other))
    }
}

impl Eq for Tables {}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_its_key_and_a_second_one_refused() {
        let mut table = Table::default();
        let one = table.document_mut().push_text("one");
        let two = table.document_mut().push_text("two");
        assert!(table.insert("1", one));
        assert!(!table.insert("1", two));
        assert_eq!(table.row("1").unwrap().text().unwrap(), "one");
        assert!(table.row("2").is_none());
        assert!(table.memory() >= BYTES_PER_KEY);
    }

    #[test]
    fn tables_are_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        let tables: Tables = [("a".into(), Arc::new(Table::default()))].into_iter().collect();
        shared(&tables);
        assert_eq!(tables, tables.clone());
        assert_ne!(tables, Tables::default());
    }
}
