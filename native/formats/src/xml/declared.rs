//! The paths declared in `arrays`, `numbers` and `booleans`, as one trie. The scanner walks it
//! along its stack of open elements, so a declaration costs nothing where it does not apply.

use message::{Code, Fault, NONE, Path, Segment};

use super::options::XmlOptions;

/// The type that a text is declared to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Boolean,
}

/// A typed path.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) kind: Type,
    /// As it was written.
    pub(super) path: Box<str>,
    /// The path names the text key: an element without text is none of its business.
    pub(super) text_only: bool,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted.
    children: Vec<(Name, u32)>,
    array: bool,
    typed: Option<Typed>,
}

/// Attributes before elements, then by bytes; an attribute's name stands without its prefix.
type Name = (Of, Box<[u8]>);

/// What a name names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Attribute,
    Element,
}

/// The compiled trie; node 0 is the document's root.
#[derive(Debug)]
pub(super) struct Declared {
    nodes: Vec<Node>,
}

impl Declared {
    pub(super) fn compile(options: &XmlOptions) -> Result<Declared, Fault> {
        let mut declared = Declared { nodes: vec![Node::default()] };
        for (option, paths, typed) in [
            ("arrays", &options.arrays, None),
            ("numbers", &options.numbers, Some(Type::Number)),
            ("booleans", &options.booleans, Some(Type::Boolean)),
        ] {
            for (position, text) in paths.iter().enumerate() {
                let added = declared.add(text, typed, options);
                added.map_err(|fault| fault.at_pointer(format!("/{option}/{position}")))?;
            }
        }
        Ok(declared)
    }

    /// Where the trie starts; `NONE` when nothing is declared.
    pub(super) fn root(&self) -> u32 {
        if self.nodes[0].children.is_empty() { NONE } else { 0 }
    }

    /// The node for the child `name` of the node `at`; `NONE` when nothing is declared there.
    #[inline]
    pub(super) fn child(&self, at: u32, of: Of, name: &[u8]) -> u32 {
        match self.nodes.get(at as usize) {
            Some(node) => find(node, of, name).map_or(NONE, |position| node.children[position].1),
            None => NONE,
        }
    }

    #[inline]
    pub(super) fn is_array(&self, at: u32) -> bool {
        self.nodes.get(at as usize).is_some_and(|node| node.array)
    }

    /// The type declared for the text of the node `at`.
    #[inline]
    pub(super) fn typed(&self, at: u32) -> Option<&Typed> {
        self.nodes.get(at as usize)?.typed.as_ref()
    }

    /// Adds an array, or a path of a type.
    fn add(&mut self, text: &str, typed: Option<Type>, options: &XmlOptions) -> Result<(), Fault> {
        let path = Path::parse(text).map_err(|error| invalid(error.to_string()))?;
        let (mut at, mut end) = (0, None);
        for segment in path.segments() {
            let Segment::Key(name) = segment else {
                return Err(invalid("a declared path has no index; it holds for every element"));
            };
            if end.is_some() {
                return Err(invalid("attributes and texts have nothing below them"));
            }
            if **name == *options.text_key {
                end = Some(Of::Element);
            } else if let Some(name) = name.strip_prefix(options.attribute_prefix.as_str()) {
                end = Some(Of::Attribute);
                at = self.enter(at, Of::Attribute, name);
            } else {
                at = self.enter(at, Of::Element, name);
            }
        }
        let Some(kind) = typed else {
            self.nodes[at as usize].array = true;
            return if end.is_none() { Ok(()) } else { Err(invalid("attributes and texts are never lists")) };
        };
        let known = &mut self.nodes[at as usize].typed;
        if known.as_ref().is_some_and(|known| known.kind != kind) {
            let reason = "the path is declared both a number and a boolean";
            return Err(Fault::new(Code::ConfigInvalidValue, reason));
        }
        *known = Some(Typed { kind, path: path.to_string().into(), text_only: end == Some(Of::Element) });
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation)] // as many nodes as a configuration has names
    fn enter(&mut self, at: u32, of: Of, name: &str) -> u32 {
        let created = self.nodes.len() as u32;
        let node = &mut self.nodes[at as usize];
        match find(node, of, name.as_bytes()) {
            Ok(position) => node.children[position].1,
            Err(position) => {
                node.children.insert(position, ((of, name.as_bytes().into()), created));
                self.nodes.push(Node::default());
                created
            }
        }
    }
}

fn find(node: &Node, of: Of, name: &[u8]) -> Result<usize, usize> {
    node.children.binary_search_by(|((known_of, known), _)| (*known_of, &**known).cmp(&(of, name)))
}

fn invalid(reason: impl Into<String>) -> Fault {
    Fault::new(Code::ConfigInvalidPath, reason)
}
