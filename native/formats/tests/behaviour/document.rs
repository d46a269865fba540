//! The document against a plain tree: whatever is set, removed or renamed, both have to say the
//! same, read through `Value` and read back from what is emitted.

use crate::model::{Model, key, model, path};
use formats::json;
use formats::xml::{Reader, XmlOptions};
use message::packed::Unpack;
use message::{Document, Limits, Segment};
use proptest::prelude::*;
use proptest::sample::Index;

/// One edit. `way` picks a path that exists; `more` leads on from there, mostly to nowhere.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, Vec<Segment>, Model),
    /// Sets to a copy of another value of the document.
    Copy(Index, Vec<Segment>, Index),
    Remove(Index, Vec<Segment>),
    Rename(Index, Vec<Segment>, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let segment = prop_oneof![
        2 => key().prop_map(|name| Segment::Key(name.as_str().into())),
        1 => (0..4_u32).prop_map(Segment::Index),
    ];
    let more = prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(segment, 1..3)];
    prop_oneof![
        3 => (any::<Index>(), more.clone(), model()).prop_map(|(way, more, value)| Edit::Set(way, more, value)),
        1 => (any::<Index>(), more.clone(), any::<Index>()).prop_map(|(way, more, from)| Edit::Copy(way, more, from)),
        2 => (any::<Index>(), more.clone()).prop_map(|(way, more)| Edit::Remove(way, more)),
        2 => (any::<Index>(), more, key()).prop_map(|(way, more, name)| Edit::Rename(way, more, name)),
    ]
}

/// Edits both alike and compares them after every step.
fn edited(document: &mut Document, model: &mut Model, edits: Vec<Edit>) -> Result<(), TestCaseError> {
    prop_assert_eq!(&Model::read(document.root()), &*model);
    for edit in edits {
        let known = model.paths();
        let way = |way: Index, more: &[Segment]| {
            let mut segments = if known.is_empty() { Vec::new() } else { way.get(&known).clone() };
            segments.extend_from_slice(more);
            segments
        };
        match edit {
            Edit::Set(to, more, value) => {
                let to = way(to, &more);
                if !to.is_empty() {
                    let node = value.build(document);
                    prop_assert_eq!(document.set(&path(&to), node), model.set(&to, value));
                }
            }
            Edit::Copy(to, more, from) => {
                let (to, from) = (way(to, &more), way(from, &[]));
                if !to.is_empty() {
                    let value = model.at(&from).unwrap().clone();
                    let (node, item) = position(document, &from);
                    let node = document.push_copy(node, item);
                    prop_assert_eq!(document.set(&path(&to), node), model.set(&to, value));
                }
            }
            Edit::Remove(at, more) => {
                let at = way(at, &more);
                if !at.is_empty() {
                    prop_assert_eq!(document.remove(&path(&at)), model.remove(&at));
                }
            }
            Edit::Rename(at, more, name) => {
                let at = way(at, &more);
                if !at.is_empty() {
                    prop_assert_eq!(document.rename(&path(&at), &name), model.rename(&at, &name));
                }
            }
        }
        compare(document, model)?;
    }
    Ok(())
}

fn position(document: &Document, segments: &[Segment]) -> (u32, bool) {
    let value = segments.iter().fold(document.root(), |value, segment| match segment {
        Segment::Key(name) => value.get(name).unwrap(),
        Segment::Index(index) => value.index(*index as usize).unwrap(),
    });
    value.position()
}

fn compare(document: &Document, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(&Model::read(document.root()), model);
    let mut out = Vec::new();
    json::emit(document, &mut out);
    let again = parsed(&out);
    prop_assert_eq!(&Model::read(again.root()), model);
    let theirs: serde_json::Value = serde_json::from_slice(&out).unwrap();
    prop_assert_eq!(theirs, serde_json::from_str::<serde_json::Value>(&model.json()).unwrap());
    let part = document.detached(usize::MAX).unwrap();
    prop_assert_eq!(&Model::read(part.root()), model);
    let mut of_part = Vec::new();
    json::emit(&part, &mut of_part);
    prop_assert_eq!(Model::read(parsed(&of_part).root()), Model::read(again.root()));
    prop_assert!(document.detached(part.size() - 1).is_none());
    read_back(document, &out)?;
    read_back(&part, &of_part)
}

/// Another node that reads what this one has written has the same document, and writes the same. `json`: how.
fn read_back(document: &Document, json: &[u8]) -> Result<(), TestCaseError> {
    let mut tree = Vec::new();
    document.write_tree(&mut tree);
    let mut read = parsed(b"{\"something\": \"else\"}");
    let mut rest = Unpack(&tree);
    prop_assert!(read.read_tree(document.source(), &mut rest).is_some() && rest.0.is_empty());
    let mut again = Vec::new();
    json::emit(&read, &mut again);
    prop_assert_eq!(json, &*again);
    let (mut xml, mut xml_again) = (Vec::new(), Vec::new());
    prop_assert_eq!(formats::xml::emit(document, &mut xml), formats::xml::emit(&read, &mut xml_again));
    prop_assert_eq!(xml, xml_again);
    let mut tree_again = Vec::new();
    read.write_tree(&mut tree_again);
    prop_assert_eq!(&tree, &tree_again);
    // A part of it is not taken for the whole, and other bytes make no harm.
    for cut in 0..tree.len().min(200) {
        prop_assert!(read.read_tree(document.source(), &mut Unpack(&tree[..cut])).is_none());
        let mut other = tree.clone();
        other[cut] ^= 0x55;
        if read.read_tree(document.source(), &mut Unpack(&other)).is_some() {
            json::emit(&read, &mut again);
        }
    }
    Ok(())
}

fn parsed(source: &[u8]) -> Document {
    let mut document = Document::default();
    json::parse(source, &Limits::default(), &mut document).unwrap();
    document
}

/// An element, to be written as XML and to be read as the model has it.
#[derive(Clone, Debug)]
struct Element {
    name: String,
    id: Option<String>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn xml(&self, out: &mut String) {
        let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&#34;");
        out.push_str(&format!("<{}", self.name));
        if let Some(id) = &self.id {
            out.push_str(&format!(" id=\"{}\"", escaped(id)));
        }
        out.push('>');
        let half = self.children.len() / 2;
        self.children[..half].iter().for_each(|child| child.xml(out));
        out.push_str(&escaped(&self.text));
        self.children[half..].iter().for_each(|child| child.xml(out));
        out.push_str(&format!("</{}>", self.name));
    }

    fn model(&self) -> Model {
        let mut members: Vec<(String, Model)> = Vec::new();
        if let Some(id) = &self.id {
            members.push(("@id".into(), Model::Text(id.clone())));
        }
        for child in &self.children {
            match members.iter_mut().find(|(name, _)| *name == child.name) {
                None if child.name == "list" => members.push((child.name.clone(), Model::List(vec![child.model()]))),
                None => members.push((child.name.clone(), child.model())),
                Some((_, Model::List(items))) => items.push(child.model()),
                Some((_, first)) => *first = Model::List(vec![first.clone(), child.model()]),
            }
        }
        let text = self.text.trim();
        if members.is_empty() {
            return if text.is_empty() { Model::Null } else { Model::Text(text.into()) };
        }
        if !text.is_empty() {
            members.push(("#text".into(), Model::Text(text.into())));
        }
        Model::Object(members)
    }
}

fn element() -> impl Strategy<Value = Element> {
    let parts = || {
        (
            prop_oneof![4 => "[abc]", 1 => Just("list".into())],
            proptest::option::weighted(0.3, "[ -~]{0,4}"),
            "[ a-z&é]{0,4}",
        )
    };
    let leaf = parts().prop_map(|(name, id, text)| Element { name, id, text, children: Vec::new() });
    leaf.prop_recursive(4, 60, 8, move |inner| {
        (parts(), proptest::collection::vec(inner, 0..8)).prop_map(|((name, id, text), children)| Element {
            name,
            id,
            text,
            children,
        })
    })
}

/// `list` is declared an array wherever a path of up to five names leads to it.
fn options() -> XmlOptions {
    let mut paths = vec![String::from("root")];
    let mut arrays = Vec::new();
    for _ in 0..5 {
        arrays.extend(paths.iter().map(|path| format!("{path}.list")));
        paths = paths.iter().flat_map(|path| ["a", "b", "c", "list"].map(|name| format!("{path}.{name}"))).collect();
    }
    XmlOptions { arrays, ..XmlOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_document_from_json_edits_like_a_plain_tree(model in model(), edits in proptest::collection::vec(edit(), 0..12)) {
        let mut model = model;
        let mut document = Document::default();
        json::parse(model.json().as_bytes(), &Limits::default(), &mut document).unwrap();
        edited(&mut document, &mut model, edits)?;
    }

    #[test]
    fn a_document_from_xml_edits_like_a_plain_tree(element in element(), edits in proptest::collection::vec(edit(), 0..12)) {
        let root = Element { name: "root".into(), ..element };
        let mut model = Model::Object(vec![("root".into(), root.model())]);
        let mut xml = String::new();
        root.xml(&mut xml);
        let mut document = Document::default();
        Reader::new(&options()).unwrap().parse(xml.as_bytes(), &Limits::default(), &mut document).unwrap();
        edited(&mut document, &mut model, edits)?;
    }
}
