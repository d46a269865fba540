//! The heap of one runtime: counted, capped, and it remembers that it said no.
//!
//! The engine's own memory limit refuses and forgets, so a script that catches the exception can
//! go on allocating. Here the first refusal is final: from then on everything is refused, and the
//! next interrupt poll ends the script.
#![allow(unsafe_code)] // The engine's allocator interface hands out raw memory.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::Cell;
use std::ptr;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

/// Before every block stands its size; 16 bytes keep what follows aligned for any type of the engine.
const HEADER: usize = 16;

/// What a runtime has allocated and may allocate, in bytes.
pub struct Heap {
    used: Cell<usize>,
    limit: Cell<usize>,
    refused: Cell<bool>,
}

impl Heap {
    pub fn new(limit: usize) -> Rc<Heap> {
        Rc::new(Heap { used: Cell::new(0), limit: Cell::new(limit), refused: Cell::new(false) })
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }

    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    pub fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes);
    }

    /// Whether an allocation was refused since the runtime began.
    pub fn has_refused(&self) -> bool {
        self.refused.get()
    }

    /// Counts `more` bytes in, or refuses.
    fn take(&self, more: usize) -> bool {
        let wanted = self.used.get().saturating_add(more);
        if self.refused.get() || wanted > self.limit.get() {
            self.refused.set(true);
            return false;
        }
        self.used.set(wanted);
        true
    }

    fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }
}

/// The allocator of one runtime.
pub struct Metered(pub Rc<Heap>);

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEADER)?, HEADER).ok()
}

impl Metered {
    fn obtain(&self, size: usize, zeroed: bool) -> *mut u8 {
        let Some(layout) = layout(size) else { return ptr::null_mut() };
        if size == 0 || !self.0.take(layout.size()) {
            return ptr::null_mut();
        }
        // SAFETY: the layout is not empty; the header fits in front of the block.
        unsafe {
            let block = if zeroed { alloc_zeroed(layout) } else { alloc(layout) };
            if block.is_null() {
                self.0.give_back(layout.size());
                return block;
            }
            block.cast::<usize>().write(size);
            block.add(HEADER)
        }
    }
}

// SAFETY: blocks come from the global allocator with 16 byte alignment, their size is kept in the
// header, and every method finds it there again.
unsafe impl Allocator for Metered {
    fn alloc(&mut self, size: usize) -> *mut u8 {
        self.obtain(size, false)
    }

    fn calloc(&mut self, count: usize, size: usize) -> *mut u8 {
        count.checked_mul(size).map_or(ptr::null_mut(), |total| self.obtain(total, true))
    }

    unsafe fn dealloc(&mut self, block: *mut u8) {
        // SAFETY: `block` came from `obtain` or `realloc`, so its header holds its size.
        unsafe {
            let start = block.sub(HEADER);
            let size = start.cast::<usize>().read();
            self.0.give_back(size + HEADER);
            dealloc(start, Layout::from_size_align_unchecked(size + HEADER, HEADER));
        }
    }

    unsafe fn realloc(&mut self, block: *mut u8, new_size: usize) -> *mut u8 {
        if block.is_null() {
            return self.obtain(new_size, false);
        }
        let Some(new) = layout(new_size) else { return ptr::null_mut() };
        // SAFETY: as in `dealloc`; on failure the old block stays as it was.
        unsafe {
            let start = block.sub(HEADER);
            let old_size = start.cast::<usize>().read();
            if new_size > old_size && !self.0.take(new_size - old_size) {
                return ptr::null_mut();
            }
            let old = Layout::from_size_align_unchecked(old_size + HEADER, HEADER);
            let moved = realloc(start, old, new.size());
            if moved.is_null() {
                self.0.give_back(new_size.saturating_sub(old_size));
                return moved;
            }
            self.0.give_back(old_size.saturating_sub(new_size));
            moved.cast::<usize>().write(new_size);
            moved.add(HEADER)
        }
    }

    unsafe fn usable_size(block: *mut u8) -> usize {
        // SAFETY: as in `dealloc`.
        unsafe { block.sub(HEADER).cast::<usize>().read() }
    }
}
