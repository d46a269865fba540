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

#[derive(Debug, Default)]
struct Node {
    /// Sorted.
    children: Vec<(Name, u32)>,
    array: bool,
    typed: Option<(Type, Box<str>)>,
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
        for (list, paths) in
            [("arrays", &options.arrays), ("numbers", &options.numbers), ("booleans", &options.booleans)]
        {
            for (position, text) in paths.iter().enumerate() {
                let path = Path::parse(text).map_err(|error| Fault::new(Code::ConfigInvalidPath, error.to_string()));
                let added = path.and_then(|path| declared.add(list, &path, options));
                added.map_err(|fault| fault.at_pointer(format!("/{list}/{position}")))?;
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

    pub(super) fn is_array(&self, at: u32) -> bool {
        self.nodes.get(at as usize).is_some_and(|node| node.array)
    }

    /// The type declared for the text of the node `at`, and the path as it was written.
    pub(super) fn typed(&self, at: u32) -> Option<(Type, &str)> {
        let (typed, path) = self.nodes.get(at as usize)?.typed.as_ref()?;
        Some((*typed, path))
    }

    fn add(&mut self, list: &str, path: &Path, options: &XmlOptions) -> Result<(), Fault> {
        let mut names = Vec::new();
        for segment in path.segments() {
            match segment {
                Segment::Key(name) => names.push(&**name),
                Segment::Index(_) => return Err(invalid("a declared path has no index; it holds for every element")),
            }
        }
        // The text beside attributes or children is its element's text.
        if names.len() > 1 && names.last() == Some(&options.text_key.as_str()) && list != "arrays" {
            names.pop();
        }
        let mut at = 0;
        for (position, name) in names.iter().enumerate() {
            let attribute = name.strip_prefix(options.attribute_prefix.as_str());
            if attribute.is_some() && position + 1 < names.len() {
                return Err(invalid("an attribute has nothing below it"));
            }
            if attribute.is_some() && list == "arrays" {
                return Err(invalid("an attribute is never a list"));
            }
            at = self.enter(at, attribute.map_or((Of::Element, *name), |name| (Of::Attribute, name)));
        }
        self.declare(at, list, path)
    }

    fn declare(&mut self, at: u32, list: &str, path: &Path) -> Result<(), Fault> {
        let node = &mut self.nodes[at as usize];
        let typed = match list {
            "arrays" => {
                node.array = true;
                return Ok(());
            }
            "numbers" => Type::Number,
            _ => Type::Boolean,
        };
        if node.typed.as_ref().is_some_and(|(other, _)| *other != typed) {
            return Err(Fault::new(Code::ConfigInvalidValue, "the path is declared both a number and a boolean"));
        }
        node.typed = Some((typed, path.to_string().into()));
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation)] // as many nodes as a configuration has names
    fn enter(&mut self, at: u32, (of, name): (Of, &str)) -> u32 {
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

fn invalid(reason: &str) -> Fault {
    Fault::new(Code::ConfigInvalidPath, reason)
}
