//! The promise of the fast path: a filter on fields and literals allocates nothing per message.

#![allow(unsafe_code)] // a counting allocator has to be one

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::support::{context, document};
use expression::{Case, Filter, Remove, Rename, Route, Set};
use message::{Limits, Outs, Work};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// Hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_filter_on_fields_and_literals_allocates_nothing() {
    let document = document(r#"{"order":{"total":150.5,"country":"CH","note":"at the door","n":7}}"#);
    for text in [
        "order.total > 100.0 && order.country == \"CH\"",
        "order.n > 1 && order.n <= 7 && order.total != 3",
        "order.country in [\"DE\", \"CH\"]",
        "has(order.note) && order.note.contains(\"door\")",
        "order.n * 2 + 1 == 15 ? !has(order.nope) : false",
        "headers[\"Content-Type\"] == \"application/json\"",
        "meta.customer == \"acme\" && meta.time > timestamp(\"2020-01-01T00:00:00Z\")",
        "size(order.note) == 11 && order.note.substring(0, 2) == \"at\"",
    ] {
        let filter = Filter::compile(text).unwrap();
        let limits = Limits::default();
        let count = allocations(|| assert_eq!(filter.matches(&document, &context(), &limits), Ok(true), "{text}"));
        assert_eq!(count, 0, "{text}");
    }
}

#[test]
fn a_route_allocates_nothing() {
    let case = |when: &str, out| Case { when: Some(when.to_owned()), to: Some(Outs::one(out)) };
    let route = Route::compile(&[case("order.total > 1000.0", 0), case("order.total > 10.0", 1)]).unwrap();
    let mut document = document(r#"{"order":{"total":150}}"#);
    let limits = Limits::default();
    let count = allocations(|| {
        let verdict =
            message::Step::apply(&route, &mut Work { document: &mut document, context: context(), limits: &limits });
        assert_eq!(verdict, Ok(message::Verdict::Route(Outs::one(1))));
    });
    assert_eq!(count, 0);
}

#[test]
fn compiled_steps_are_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Filter>();
    shared::<Route>();
    shared::<Set>();
    shared::<Remove>();
    shared::<Rename>();
}
