//! What was written reads back; what was damaged is refused, or reads as a document that ends.

use proptest::prelude::*;

use super::*;
use crate::Format;

#[derive(Clone, Debug)]
enum Tree {
    Null,
    Number(i32),
    Text(String),
    Object(Vec<(String, Tree)>),
    List(Vec<Tree>),
    /// Elements of one name.
    Chain(Vec<Tree>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![Just(Tree::Null), any::<i32>().prop_map(Tree::Number), "[a-zä😀]{0,9}".prop_map(Tree::Text)];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(("[a-zé]{1,5}", inner.clone()), 0..5).prop_map(Tree::Object),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::List),
            prop::collection::vec(inner, 1..4).prop_map(Tree::Chain),
        ]
    })
}

/// A document that is read from the JSON of `tree`, as its parser would have made it.
fn document(tree: &Tree) -> Document {
    let mut document = Document::default();
    document.reset(b"", Format::Json, &Arc::default());
    let root = push(&mut document, tree);
    document.source = document.bytes.len();
    document.set_root(root);
    document
}

fn push(document: &mut Document, tree: &Tree) -> u32 {
    match tree {
        Tree::Null => document.push(Node::new(Kind::Null)),
        Tree::Number(number) => document.push_i64((*number).into()),
        Tree::Text(text) => document.push_text(text),
        Tree::Object(members) => {
            let (object, start) = open(document, Kind::Object);
            let mut previous = NONE;
            for (name, member) in members {
                let key = document.append(name.as_bytes());
                let child = push(document, member);
                document.node_mut(child).key = key;
                document.link(object, previous, child);
                previous = child;
            }
            close(document, object, start)
        }
        Tree::List(items) => {
            let (list, start) = open(document, Kind::List);
            let mut previous = NONE;
            for item in items.iter().filter(|item| !matches!(item, Tree::Chain(_))) {
                let child = push(document, item);
                document.link(list, previous, child);
                previous = child;
            }
            close(document, list, start)
        }
        Tree::Chain(items) => {
            let mut previous = NONE;
            let mut head = NONE;
            for item in items.iter().filter(|item| !matches!(item, Tree::Chain(_))) {
                let child = push(document, item);
                if previous == NONE {
                    head = child;
                } else {
                    document.node_mut(previous).same = child;
                }
                previous = child;
            }
            if head == NONE { document.push(Node::new(Kind::Null)) } else { head }
        }
    }
}

fn open(document: &mut Document, kind: Kind) -> (u32, usize) {
    let start = document.bytes.len();
    document.append(if kind == Kind::Object { b"{" } else { b"[" });
    (document.push(Node::new(kind)), start)
}

fn close(document: &mut Document, container: u32, start: usize) -> u32 {
    document.append(if document.node(container).kind == Kind::Object { b"}" } else { b"]" });
    document.node_mut(container).value = Span::between(start, document.bytes.len());
    container
}

/// What a script would add: an object with the old root once as it is, once copied, and something new.
fn add(document: &mut Document, tree: &Tree) -> u32 {
    let old = document.root_index();
    let object = document.push(Node { flags: Flags::DIRTY, ..Node::new(Kind::Object) });
    let as_it_is = document.push(Node { key: Span::default(), next: NONE, ..*document.node(old) });
    let copy = document.push_copy(old, false);
    let new = push(document, tree);
    for (previous, child) in [(NONE, as_it_is), (as_it_is, copy), (copy, new)] {
        document.node_mut(child).key = document.append(b"k");
        document.link(object, previous, child);
    }
    object
}

const BUDGET: PartsBudget = PartsBudget { bytes: 10_000, nodes: 1_000, depth: 50 };

fn shown(document: &Document, root: u32) -> String {
    format!("{:?}", document.value_at(root, false))
}

/// Everything that follows links; without an end, or with a copy of a copy of a copy, the test would not end either.
fn walk_all(document: &mut Document, root: u32) {
    document.set_root(root);
    let size = shown(document, root).len();
    assert!(size < 10_000_000);
    let mut tree = Vec::new();
    document.write_tree(&mut tree);
    let _ = document.detached(usize::MAX);
    document.push_copy(root, false);
}

fn whole(document: &Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.write_whole(&mut bytes);
    bytes
}

proptest! {
    #[test]
    fn a_whole_document_reads_back(tree in trees()) {
        let document = document(&tree);
        let (bytes, mut read) = (whole(&document), Document::default());
        let mut from = Unpack(&bytes);
        prop_assert_eq!(read.read_whole(&mut from), Ok(()));
        prop_assert_eq!(from.0.len(), 0);
        prop_assert_eq!(shown(&read, read.root_index()), shown(&document, document.root_index()));
        prop_assert_eq!((read.extent(), read.decoded()), (document.extent(), document.decoded()));
        prop_assert!(read.is_unchanged());
    }

    #[test]
    fn what_was_added_reads_back(tree in trees(), added in trees()) {
        let mut here = document(&tree);
        let (mut there, extent) = (here.clone(), here.extent());
        let root = add(&mut there, &added);
        let mut bytes = Vec::new();
        there.write_parts(extent, &mut bytes);
        let read = here.read_parts(&mut Unpack(&bytes), &[root], &BUDGET, &mut PartsCheck::default());
        // The document itself is emitted twice, which only the budget pays for.
        prop_assert_eq!(read, Ok(()));
        prop_assert_eq!(shown(&here, root), shown(&there, root));
        prop_assert_eq!(here.extent(), there.extent());
    }

    #[test]
    fn damaged_parts_are_refused_or_end(
        tree in trees(),
        added in trees(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        small in any::<bool>(),
    ) {
        let mut here = document(&tree);
        let (mut there, extent) = (here.clone(), here.extent());
        let root = add(&mut there, &added);
        let mut bytes = Vec::new();
        there.write_parts(extent, &mut bytes);
        for (at, byte) in damage {
            // Small numbers are links and ranges that exist, which is where the harm is.
            let index = at.index(bytes.len());
            bytes[index] = if small { byte % 12 } else { byte };
        }
        let before = whole(&here);
        match here.read_parts(&mut Unpack(&bytes), &[root], &BUDGET, &mut PartsCheck::default()) {
            Ok(()) => walk_all(&mut here, root),
            Err(_) => prop_assert_eq!(whole(&here), before),
        }
    }

    #[test]
    fn damaged_links_are_refused_or_end(
        tree in trees(),
        added in trees(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, any::<prop::sample::Index>()), 1..6),
    ) {
        let mut here = document(&tree);
        let (mut there, extent) = (here.clone(), here.extent());
        let root = add(&mut there, &added);
        for (at, link, to) in damage {
            let total = there.nodes.len();
            let node = extent.nodes + at.index(total - extent.nodes);
            let to = u32::try_from(to.index(total)).unwrap();
            let node = &mut there.nodes[node];
            *[&mut node.first, &mut node.next, &mut node.same][link] = to;
        }
        let mut bytes = Vec::new();
        there.write_parts(extent, &mut bytes);
        if here.read_parts(&mut Unpack(&bytes), &[root], &BUDGET, &mut PartsCheck::default()).is_ok() {
            walk_all(&mut here, root);
        }
    }

    #[test]
    fn torn_parts_are_refused(tree in trees(), cut in any::<prop::sample::Index>()) {
        let bytes = whole(&document(&tree));
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert!(Document::default().read_whole(&mut Unpack(cut)).is_err());
    }

    #[test]
    fn bytes_that_nobody_wrote_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut document, old) = (Document::default(), document(&Tree::List(vec![Tree::Null])));
        let _ = document.read_whole(&mut Unpack(&bytes));
        let mut document = old.clone();
        if document.read_parts(&mut Unpack(&bytes), &[1], &BUDGET, &mut PartsCheck::default()).is_ok() {
            walk_all(&mut document, 1);
        }
    }
}

// -- one reason each -------------------------------------------------------------------------------

fn old() -> Document {
    document(&Tree::Object(vec![("a".into(), Tree::Text("über".into())), ("b".into(), Tree::List(vec![]))]))
}

/// What becomes of a document to which another process adds one node, and perhaps a second.
fn read(text: &str, nodes: &[Node], roots: &[u32], budget: &PartsBudget) -> Result<Document, PartsError> {
    let mut here = old();
    let (mut there, extent) = (here.clone(), here.extent());
    there.append(text.as_bytes());
    nodes.iter().for_each(|node| {
        there.push(*node);
    });
    let mut bytes = Vec::new();
    there.write_parts(extent, &mut bytes);
    here.read_parts(&mut Unpack(&bytes), roots, budget, &mut PartsCheck::default())?;
    Ok(here)
}

fn refused(nodes: &[Node], budget: &PartsBudget) -> PartsError {
    let first = u32::try_from(old().nodes.len()).unwrap();
    read("xyz", nodes, &[first], budget).unwrap_err()
}

#[test]
fn every_reason_is_named() {
    let new = u32::try_from(old().nodes.len()).unwrap();
    let object = Node { flags: Flags::DIRTY, ..Node::new(Kind::Object) };
    let length = u32::try_from(old().bytes.len() + 3).unwrap();
    let few = PartsBudget { nodes: 0, ..BUDGET };
    let flat = PartsBudget { depth: 1, ..BUDGET };
    let text = |start, length| Node { value: Span::new(start, length), ..Node::new(Kind::Text) };
    for (nodes, budget, reason) in [
        (vec![object], &few, PartsError::TooMuch),
        (vec![object], &PartsBudget { bytes: 2, ..BUDGET }, PartsError::TooMuch),
        (vec![text(length, 1)], &BUDGET, PartsError::BadRange),
        (vec![text(u32::MAX, u32::MAX)], &BUDGET, PartsError::BadRange),
        (vec![Node { key: Span::new(length - 1, 2), ..object }], &BUDGET, PartsError::BadRange),
        // In the middle of the ü.
        (vec![text(3, 1)], &BUDGET, PartsError::BadRange),
        (vec![Node { first: new + 1, ..object }], &BUDGET, PartsError::BadLink),
        (vec![Node { first: 0, ..text(0, 0) }], &BUDGET, PartsError::BadLink),
        (vec![Node { first: new, ..object }], &BUDGET, PartsError::Shared),
        (vec![Node { same: new, ..object }], &BUDGET, PartsError::Shared),
        // The same members twice: as they are, then those of a second object.
        (vec![Node { first: new + 1, ..object }, Node { first: 1, next: 0, ..object }], &BUDGET, PartsError::Shared),
        (vec![Node { first: 1, ..object }], &flat, PartsError::TooDeep),
        (
            vec![Node { key: Span::new(0, 1), ..text(0, length) }],
            &PartsBudget { bytes: 3, ..BUDGET },
            PartsError::TooLong,
        ),
        // The members of a range of the source are no longer than the range.
        (
            vec![
                Node { value: Span::new(0, 1), first: new + 1, ..Node::new(Kind::Object) },
                Node { value: Span::new(0, length), ..Node::new(Kind::List) },
            ],
            &BUDGET,
            PartsError::TooLong,
        ),
    ] {
        assert_eq!(refused(&nodes, budget), reason, "{nodes:?}");
    }
    assert_eq!(read("", &[], &[new], &BUDGET).unwrap_err(), PartsError::BadLink, "a root that is not there");
    assert_eq!(read("", &[object], &[new, new], &BUDGET).unwrap_err(), PartsError::Shared, "two roots that are one");
    assert_eq!(shown(&read("xyz", &[text(length - 3, 3)], &[new], &BUDGET).unwrap(), new), "\"xyz\"");
}

#[test]
fn kinds_and_texts_that_do_not_exist_are_refused() {
    let mut bytes = Vec::new();
    old().write_parts(Extent::default(), &mut bytes);
    let length = old().bytes.len();
    // The length of the texts, the texts, the count of nodes, then the nodes.
    let node = 1 + length + 1;
    for (at, byte, reason) in [
        (node, 7, PartsError::UnknownKind),
        (node + 1, 3, PartsError::UnknownKind),
        (node + 2, 16, PartsError::UnknownKind),
        (1, 0xff, PartsError::NotUtf8),
    ] {
        let mut damaged = bytes.clone();
        damaged[at] = byte;
        let mut document = Document::default();
        let read = document.read_parts(&mut Unpack(&damaged), &[0], &BUDGET, &mut PartsCheck::default());
        assert_eq!(read, Err(reason));
        assert_eq!(document.extent(), Extent::default());
    }
}
