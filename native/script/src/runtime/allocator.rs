//! The heap of one runtime: every block is counted by the guard, which may refuse it.
//!
//! The engine's own memory limit refuses and forgets, so a script that catches the exception can
//! go on allocating. Here the first refusal is final: from then on everything is refused, and the
//! next interrupt poll ends the script.
#![allow(unsafe_code)] // The engine's allocator interface hands out raw memory.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::ptr;
use std::rc::Rc;

use rquickjs::allocator::Allocator;

use super::guard::Guard;

/// Before every block stands its size; 16 bytes keep what follows aligned for any type of the engine.
const HEADER: usize = 16;

/// The allocator of one runtime.
pub struct Metered(pub Rc<Guard>);

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
