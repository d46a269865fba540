//! The document while a script runs: where its views find it, and what becomes of it afterwards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use message::{Document, Node};
use rquickjs::qjs;

use super::digits::Long;
use super::guard::Guard;
use super::keys::Keys;

/// What the views of a context have in common.
#[derive(Clone)]
pub struct Views {
    pub class: qjs::JSClassID,
    /// Where the context's `Object.prototype` lies.
    pub prototype: usize,
    /// And its `Array.prototype`.
    pub list_prototype: usize,
    pub keys: Rc<Keys>,
}

/// Shared by all views of one message.
pub struct Message {
    /// The task's own document while the script runs. Afterwards nothing, or, when the script kept a
    /// view, a copy of its own.
    pub document: RefCell<Document>,
    pub realm: Views,
    pub guard: Rc<Guard>,
    pub long: Long,
    /// Bytes of the copy that are counted as the script's.
    counted: Cell<usize>,
    /// Set while the result is written.
    is_writing: Cell<bool>,
    /// Nodes that are part of the output, or may be: what is first read while the output is written may lie
    /// inside of what was written as unchanged.
    taken: RefCell<Vec<bool>>,
}

impl Message {
    pub fn new(realm: &Views, guard: &Rc<Guard>) -> Rc<Message> {
        let (realm, guard) = (realm.clone(), Rc::clone(guard));
        let (document, long, counted) = <(RefCell<Document>, Long, Cell<usize>)>::default();
        let (is_writing, taken) = <(Cell<bool>, RefCell<Vec<bool>>)>::default();
        Rc::new(Message { document, realm, guard, long, counted, is_writing, taken })
    }

    /// From here on until the loan ends, the result is written.
    pub fn begin_writing(&self) {
        self.is_writing.set(true);
    }

    /// A node is read; gives it back.
    #[inline]
    pub fn reading(&self, node: u32) -> u32 {
        if self.is_writing.get() {
            self.take(node);
        }
        node
    }

    pub fn is_taken(&self, node: u32) -> bool {
        self.taken.borrow().get(node as usize).copied().unwrap_or(false)
    }

    pub fn take(&self, node: u32) {
        let (index, mut taken) = (node as usize, self.taken.borrow_mut());
        if taken.len() <= index {
            taken.resize(index + 1, false);
        }
        taken[index] = true;
    }

    fn end_writing(&self) {
        self.is_writing.set(false);
        self.taken.replace(Vec::new());
    }

    /// A copy for the views that the script kept, counted as the script's memory. None when that is
    /// used up: then the runtime ends, and the views with it.
    fn copy(&self) -> Option<Document> {
        let document = self.document.borrow();
        let bytes = document.buffer().len() + document.node_count() * size_of::<Node>() + self.long.memory();
        if !self.guard.take(bytes) {
            return None;
        }
        self.counted.set(bytes);
        Some(document.clone())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.guard.give_back(self.counted.get());
    }
}

/// A document lent to a message. Dropping it gives the document back, also in a panic.
pub struct Lent<'d> {
    owner: &'d mut Document,
    message: Rc<Message>,
}

impl<'d> Lent<'d> {
    pub fn new(document: &'d mut Document, message: Rc<Message>) -> Lent<'d> {
        message.document.replace(std::mem::take(document));
        message.long.clear();
        Lent { owner: document, message }
    }

    pub fn message(&self) -> &Rc<Message> {
        &self.message
    }

    /// Ends the loan once the values of the call are gone. Gives whether the message may be used for
    /// the next document: not while a view of this one lives.
    pub fn end(self) -> bool {
        let message = Rc::clone(&self.message);
        // Ours, the loan's and the realm's are three.
        let is_kept = Rc::strong_count(&message) > 3;
        let copy = if is_kept { message.copy() } else { None };
        drop(self);
        message.end_writing();
        if let Some(copy) = copy {
            message.document.replace(copy);
        }
        !is_kept
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Ok(mut document) = self.message.document.try_borrow_mut() {
            *self.owner = std::mem::take(&mut *document);
        }
    }
}
