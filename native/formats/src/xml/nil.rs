//! `xsi:nil="true"` (XML Schema Part 1, 2.6.2): the element has no value. With `nil: null` it becomes null.
//!
//! | element | becomes |
//! |---|---|
//! | `<a xsi:nil="true"/>`, also with declarations of namespaces | `null` |
//! | `<a xsi:nil="true" id="1"/>` | `{"@id": "1", "#text": null}` |
//! | `<a xsi:nil="true">text</a>`, which no schema permits; `<a xsi:nil="false"/>` | what it is without the option |

use message::{Fault, Flags, NONE, Span};

use super::prefixes::{XSI, is_declaration};
use super::text::Part;
use super::tree::{Element, Scratch, Tree};

/// The attributes that could be `xsi:nil`, and the open elements that have it.
#[derive(Default)]
pub(super) struct Nils {
    /// Of the start tag that is being read: the name with its prefix, the attribute's node.
    seen: Vec<(Span, u32)>,
    /// The depth of the element, the attribute's node.
    open: Vec<(usize, u32)>,
}

impl Nils {
    pub(super) fn clear(&mut self) {
        self.seen.clear();
        self.open.clear();
    }

    pub(super) fn memory(&self) -> usize {
        self.seen.capacity() * size_of::<(Span, u32)>() + self.open.capacity() * size_of::<(usize, u32)>()
    }
}

impl Tree<'_> {
    /// Notes an attribute that says true and whose name ends with `:nil`. Which namespace its prefix stands for shows
    /// at the end of the tag.
    #[cold]
    pub(super) fn note_nil(&mut self, name: Span, node: u32, value: Part) {
        let text = self.document.text(value.span, value.encoding);
        if self.slice(name).ends_with(b":nil") && matches!(text.trim_ascii(), "true" | "1") {
            self.scratch.nils.seen.push((name, node));
        }
    }

    /// The end of a start tag.
    #[cold]
    pub(super) fn find_nil(&mut self) {
        let depth = self.depth();
        let Scratch { nils, prefixes, .. } = &mut *self.scratch;
        let mut seen = nils.seen.drain(..);
        if let Some((_, node)) = seen.find(|(name, _)| prefixes.namespace(self.source, *name) == XSI) {
            nils.open.push((depth, node));
        }
    }

    /// Makes the innermost element, which is complete, null if it is nil and has no content.
    #[cold]
    pub(super) fn close_nil(&mut self) -> Result<(), Fault> {
        let depth = self.depth();
        let Some((_, nil)) = self.scratch.nils.open.pop_if(|(of, _)| *of == depth) else { return Ok(()) };
        let Some(mut element) = self.scratch.open.pop() else { return Ok(()) };
        if self.is_empty(&element) {
            self.scratch.parts.truncate(element.parts);
            self.make_null(&mut element, nil)?;
        }
        self.scratch.open.push(element);
        Ok(())
    }

    fn is_empty(&self, element: &Element) -> bool {
        let mut parts = self.scratch.parts.iter().skip(element.parts);
        self.scratch.names.scope() == element.members && parts.all(|part| self.is_blank(*part))
    }

    fn make_null(&mut self, element: &mut Element, nil: u32) -> Result<(), Fault> {
        element.last = NONE;
        let mut at = self.document.node(element.node).first;
        if !self.has_others(at, nil) {
            self.document.node_mut(element.node).first = NONE;
            return Ok(());
        }
        while at != NONE {
            let next = self.document.node(at).next;
            if at != nil {
                self.document.link(element.node, element.last, at);
                element.last = at;
            }
            at = next;
        }
        let text = self.push(Span::new(element.tag.span.start, 0), Flags::TEXT)?;
        self.document.link(element.node, element.last, text);
        element.last = text;
        Ok(())
    }

    /// Whether there are attributes besides `nil` and declarations of namespaces.
    fn has_others(&self, first: u32, nil: u32) -> bool {
        let mut at = first;
        while at != NONE {
            let node = self.document.node(at);
            if at != nil && !is_declaration(self.slice(node.key)) {
                return true;
            }
            at = node.next;
        }
        false
    }
}
