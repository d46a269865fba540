//! The elements of every list that was read by a high index, so that it is walked only once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A list by its node, and whether that node is read as a chain.
type ListKey = (u32, bool);

const KEPT_LISTS: usize = 64;

/// Behind a lock that nobody waits for, so that a document that nobody edits, such as a table, can be shared.
#[derive(Debug, Default)]
pub(super) struct Lists(Mutex<HashMap<ListKey, Box<[u32]>>>);

impl Lists {
    /// Element `index` of a list, whose elements `read` gives when it is read like this for the first time.
    pub fn element(&self, list: ListKey, index: usize, read: impl FnOnce() -> Box<[u32]>) -> Option<u32> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.entry(list).or_insert_with(read).get(index).copied()
    }

    pub fn clear(&mut self) {
        self.get_mut().clear();
    }

    /// Gives memory back that a usual document does not need.
    pub fn shrink(&mut self) {
        if self.get_mut().capacity() > KEPT_LISTS {
            self.get_mut().shrink_to(KEPT_LISTS);
        }
    }

    fn get_mut(&mut self) -> &mut HashMap<ListKey, Box<[u32]>> {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn is_empty(&mut self) -> bool {
        self.get_mut().is_empty()
    }
}

/// What a copy reads it finds again.
impl Clone for Lists {
    fn clone(&self) -> Lists {
        Lists::default()
    }
}
