//! Editing the tape: set, remove, rename by path.
//!
//! An edit reads first, whether the path leads where it should, and so fails before anything is
//! touched. Then it walks the path again, link by link, and leaves two marks on its way: every
//! container it enters is dirty, so that everything else can still be copied byte for byte, and a
//! chain of equal names it enters becomes a plain list, so that an edit has to know only one kind
//! of link.

use super::{Document, Flags, Kind, NONE, Node, Value};
use crate::{Path, Segment};

/// Why an edit is refused; `at` is the position of the path's segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// The segment does not fit the value it is to be looked up in.
    NotAnObject {
        at: usize,
    },
    NoSuchIndex {
        at: usize,
    },
    NameTaken {
        at: usize,
    },
}

/// What leads to a value: the place to change when the value is replaced or taken away.
#[derive(Clone, Copy)]
enum Link {
    Root,
    FirstOf(u32),
    After(u32),
}

impl Document {
    /// Puts the unlinked node `value` at `path`, creating the objects in between; null counts as
    /// missing. A value that is there is replaced in its place; a new member comes last.
    ///
    /// # Errors
    /// `NotAnObject` and `NoSuchIndex`; the document is then as it was.
    pub fn set(&mut self, path: &Path, value: u32) -> Result<(), EditError> {
        self.check_settable(path)?;
        let link = self.walk(path);
        self.replace(link, value);
        Ok(())
    }

    /// Takes the value at `path` away; gives whether there was one.
    pub fn remove(&mut self, path: &Path) -> bool {
        if self.resolve(path.segments()).is_none() {
            return false;
        }
        let link = self.walk(path);
        let next = self.node(self.target(link)).next;
        self.relink(link, next);
        true
    }

    /// Gives the member at `path` another key, in its place; gives whether there was one.
    ///
    /// # Errors
    /// `NameTaken`, and `NotAnObject` for an element of a list; the document is then as it was.
    pub fn rename(&mut self, path: &Path, name: &str) -> Result<bool, EditError> {
        let Some((last, way)) = path.segments().split_last() else { return Ok(false) };
        let at = way.len();
        if self.resolve(path.segments()).is_none() {
            return Ok(false);
        }
        match last {
            Segment::Index(_) => return Err(EditError::NotAnObject { at }),
            Segment::Key(old) if **old == *name => return Ok(true),
            Segment::Key(_) => {}
        }
        if self.resolve(way).is_some_and(|object| object.get(name).is_some()) {
            return Err(EditError::NameTaken { at });
        }
        let link = self.walk(path);
        let key = self.append(name.as_bytes());
        let target = self.target(link);
        let member = self.node_mut(target);
        member.key = key;
        member.flags = member.flags.without(Flags::NAMING);
        Ok(true)
    }

    // -- reading -------------------------------------------------------------------------------

    /// The value that a path leads to.
    fn resolve(&self, segments: &[Segment]) -> Option<Value<'_>> {
        segments.iter().try_fold(self.root(), |value, segment| match segment {
            Segment::Key(name) => value.get(name),
            Segment::Index(index) => value.index(*index as usize),
        })
    }

    fn check_settable(&self, path: &Path) -> Result<(), EditError> {
        let mut value = self.root();
        for (at, segment) in path.segments().iter().enumerate() {
            let found = match (value.kind(), segment) {
                (Kind::Object, Segment::Key(name)) => value.get(name),
                (Kind::Null, Segment::Key(_)) => None,
                (Kind::List, Segment::Index(index)) => {
                    Some(value.index(*index as usize).ok_or(EditError::NoSuchIndex { at })?)
                }
                _ => return Err(EditError::NotAnObject { at }),
            };
            match found {
                Some(child) => value = child,
                // From here on there are only new objects, which have no lists in them.
                None => {
                    let index = path.segments().iter().skip(at + 1).position(|s| matches!(s, Segment::Index(_)));
                    return index.map_or(Ok(()), |behind| Err(EditError::NoSuchIndex { at: at + 1 + behind }));
                }
            }
        }
        Ok(())
    }

    // -- changing ------------------------------------------------------------------------------

    /// The link to the value at `path`, which has been checked. What is missing is created.
    fn walk(&mut self, path: &Path) -> Link {
        self.mark_edited();
        self.forget_lists();
        path.segments().iter().fold(Link::Root, |link, segment| {
            let container = self.enter(link);
            match segment {
                Segment::Key(name) => self.member(container, name),
                Segment::Index(index) => {
                    (0..*index).fold(Link::FirstOf(container), |link, _| Link::After(self.target(link)))
                }
            }
        })
    }

    /// Makes the value behind `link` one whose children can be changed.
    fn enter(&mut self, link: Link) -> u32 {
        let mut container = self.target(link);
        if container == NONE || Value::new(self, container).kind() == Kind::Null {
            container = self.push(Node::new(Kind::Object));
            self.replace(link, container);
        } else if self.node(container).is_chain() {
            container = self.unchain(link);
        }
        let node = self.node_mut(container);
        node.flags = node.flags.with(Flags::DIRTY);
        container
    }

    /// The link to the member `name`. A missing one is added behind the others, as null.
    fn member(&mut self, object: u32, name: &str) -> Link {
        let mut link = Link::FirstOf(object);
        loop {
            let target = self.target(link);
            if target == NONE {
                break;
            }
            if self.key_is(self.node(target), name) {
                return link;
            }
            link = Link::After(target);
        }
        let key = self.append(name.as_bytes());
        let member = self.push(Node { key, ..Node::new(Kind::Null) });
        self.relink(link, member);
        link
    }

    /// Hangs `value` where another one hangs, under its key and in front of what follows it.
    fn replace(&mut self, link: Link, value: u32) {
        let old = self.nodes.get(self.target(link) as usize).copied().unwrap_or(Node::new(Kind::Null));
        let node = self.node_mut(value);
        (node.key, node.next) = (old.key, old.next);
        node.flags = node.flags.without(Flags::NAMING).with(old.flags.only(Flags::NAMING));
        self.relink(link, value);
    }

    /// Turns the chain behind `link` into a list.
    fn unchain(&mut self, link: Link) -> u32 {
        let head = self.target(link);
        let list = self.push(Node { first: head, ..Node::new(Kind::List) });
        self.replace(link, list);
        let mut item = head;
        while item != NONE {
            let node = self.node_mut(item);
            node.next = std::mem::replace(&mut node.same, NONE);
            node.flags = node.flags.without(Flags::LIST.with(Flags::NAMING));
            item = node.next;
        }
        list
    }

    fn target(&self, link: Link) -> u32 {
        match link {
            Link::Root => self.root,
            Link::FirstOf(parent) => self.node(parent).first,
            Link::After(previous) => self.node(previous).next,
        }
    }

    fn relink(&mut self, link: Link, target: u32) {
        match link {
            Link::Root => self.root = target,
            Link::FirstOf(parent) => self.node_mut(parent).first = target,
            Link::After(previous) => self.node_mut(previous).next = target,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a": {"b": "1", "@c": "2"}, "x": ["3", "4"]}`, the list as a chain of equal names.
    fn document() -> Document {
        let mut document = Document::default();
        let root = document.push(Node::new(Kind::Object));
        let mut member = |parent: u32, previous: u32, key: &str, kind: Kind, text: &str| {
            let (key, value) = (document.append(key.as_bytes()), document.append(text.as_bytes()));
            let node = document.push(Node { key, value, ..Node::new(kind) });
            document.link(parent, previous, node);
            node
        };
        let a = member(root, NONE, "a", Kind::Object, "");
        let b = member(a, NONE, "b", Kind::Text, "1");
        let c = member(a, b, "c", Kind::Text, "2");
        let x = member(root, a, "x", Kind::Text, "3");
        let second = document.push_text("4");
        document.node_mut(c).flags = Flags::ATTRIBUTE;
        document.node_mut(x).same = second;
        document.set_root(root);
        document
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn shown(document: &Document) -> String {
        format!("{:?}", document.root())
    }

    #[test]
    fn set_replaces_in_place_and_adds_at_the_end() {
        for (at, expected) in [
            ("a", r#"{"a": "new", "x": ["3", "4"]}"#),
            ("a.b", r#"{"a": {"b": "new", "@c": "2"}, "x": ["3", "4"]}"#),
            ("a[\"@c\"]", r#"{"a": {"b": "1", "@c": "new"}, "x": ["3", "4"]}"#),
            ("a.d.e", r#"{"a": {"b": "1", "@c": "2", "d": {"e": "new"}}, "x": ["3", "4"]}"#),
            ("x", r#"{"a": {"b": "1", "@c": "2"}, "x": "new"}"#),
            ("x[0]", r#"{"a": {"b": "1", "@c": "2"}, "x": ["new", "4"]}"#),
            ("x[1]", r#"{"a": {"b": "1", "@c": "2"}, "x": ["3", "new"]}"#),
            ("y", r#"{"a": {"b": "1", "@c": "2"}, "x": ["3", "4"], "y": "new"}"#),
        ] {
            let mut document = document();
            let value = document.push_text("new");
            document.set(&path(at), value).unwrap();
            assert_eq!(shown(&document), expected, "{at}");
            assert!(!document.is_unchanged());
        }
    }

    #[test]
    fn set_refuses_before_it_touches_anything() {
        for (at, expected) in [
            ("a.b.c", EditError::NotAnObject { at: 2 }),
            ("a[0]", EditError::NotAnObject { at: 1 }),
            ("x.y", EditError::NotAnObject { at: 1 }),
            ("x[2]", EditError::NoSuchIndex { at: 1 }),
            ("a.d.e[0].f", EditError::NoSuchIndex { at: 3 }),
        ] {
            let mut document = document();
            let (before, value) = (shown(&document), document.push_text("new"));
            assert_eq!(document.set(&path(at), value), Err(expected), "{at}");
            assert_eq!((shown(&document), document.is_unchanged()), (before, true), "{at}");
        }
    }

    #[test]
    fn remove_takes_members_and_elements_away() {
        for (at, expected) in [
            ("a", r#"{"x": ["3", "4"]}"#),
            ("a[\"@c\"]", r#"{"a": {"b": "1"}, "x": ["3", "4"]}"#),
            ("x", r#"{"a": {"b": "1", "@c": "2"}}"#),
            ("x[0]", r#"{"a": {"b": "1", "@c": "2"}, "x": ["4"]}"#),
            ("x[1]", r#"{"a": {"b": "1", "@c": "2"}, "x": ["3"]}"#),
        ] {
            let mut document = document();
            assert!(document.remove(&path(at)), "{at}");
            assert_eq!(shown(&document), expected, "{at}");
        }
        let mut document = document();
        for nowhere in ["y", "a.y", "a.b.c", "x[2]", "x.y"] {
            assert!(!document.remove(&path(nowhere)), "{nowhere}");
        }
        assert!(document.is_unchanged());
    }

    #[test]
    fn rename_keeps_place_and_value() {
        let mut document = document();
        assert_eq!(document.rename(&path("x"), "list"), Ok(true));
        assert_eq!(document.rename(&path("a[\"@c\"]"), "c"), Ok(true));
        assert_eq!(shown(&document), r#"{"a": {"b": "1", "c": "2"}, "list": ["3", "4"]}"#);
        assert_eq!(document.rename(&path("a"), "list"), Err(EditError::NameTaken { at: 0 }));
        assert_eq!(document.rename(&path("a"), "a"), Ok(true));
        assert_eq!(document.rename(&path("y"), "z"), Ok(false));
        assert_eq!(document.rename(&path("list[0]"), "z"), Err(EditError::NotAnObject { at: 1 }));
    }

    #[test]
    fn an_empty_document_becomes_an_object() {
        let mut document = Document::default();
        let value = document.push_bool(true);
        document.set(&path("a.b"), value).unwrap();
        assert_eq!(shown(&document), r#"{"a": {"b": true}}"#);
    }
}
