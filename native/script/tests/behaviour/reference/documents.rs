//! Random messages, JSON and XML, and what is smaller than one of them.

use message::{Document, Format, Limits};
use serde_json::json;

use super::random::Random;

/// A message. Numbers have up to 15 digits: for longer ones docs/scripts.md names what differs.
#[derive(Clone, Debug)]
pub enum Source {
    Json { tree: Tree, is_spaced: bool },
    Xml(Element),
}

#[derive(Clone, Debug)]
pub enum Tree {
    /// As JSON text.
    Leaf(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

#[derive(Clone, Debug)]
pub struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

const NAMES: [&str; 23] = [
    "a",
    "a",
    "a",
    "b",
    "b",
    "c",
    "d",
    "list",
    "x y",
    "",
    "0",
    "1",
    "2",
    "01",
    "-1",
    "1.5",
    "4294967295",
    "__proto__",
    "constructor",
    "toString",
    "toJSON",
    "length",
    "é\u{1f600}",
];
/// Members of a wide object.
const WIDE: usize = 40;

/// No number is large and positive: as the `length` of what inherits from a list it would be counted to, in native
/// functions that no limit of time ends.
const LEAVES: [&str; 24] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "-1",
    "1.50",
    "0.1",
    "-0",
    "1e2",
    "-123456789012",
    "\"\"",
    "\"x\"",
    "\"y\"",
    "\"1\"",
    "\"é\"",
    "\"\\u00e9\\ud83d\\ude00\"",
    "\"\\n\\\"\\\\/\"",
    "\"\\/\"",
    "\"\u{2028}\"",
    "\"\\u0001\"",
    "\"[]\"",
    "\"a rather long text that needs more room than a short one has\"",
];

pub fn name(random: &mut Random) -> &'static str {
    random.pick(&NAMES)
}

impl Tree {
    pub fn random(random: &mut Random, depth: usize) -> Tree {
        match random.below(if depth == 0 { 2 } else { 6 }) {
            0 | 1 => Tree::Leaf(random.pick(&LEAVES).to_owned()),
            2 | 3 => Tree::List((0..random.below(5)).map(|_| Tree::random(random, depth - 1)).collect()),
            _ => {
                let mut members: Vec<(String, Tree)> = Vec::new();
                if random.one_in(20) {
                    members.extend((0..WIDE).map(|number| (format!("k{number}"), Tree::Leaf(number.to_string()))));
                }
                for _ in 0..random.below(6) {
                    let name = name(random);
                    if members.iter().all(|(key, _)| key != name) {
                        members.push((name.to_owned(), Tree::random(random, depth - 1)));
                    }
                }
                Tree::Object(members)
            }
        }
    }

    pub fn text(&self, is_spaced: bool) -> String {
        let (open, comma, colon) = if is_spaced { (" ", " , ", " :\n") } else { ("", ",", ":") };
        match self {
            Tree::Leaf(text) => text.clone(),
            Tree::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.text(is_spaced)).collect();
                format!("[{open}{}{open}]", items.join(comma))
            }
            Tree::Object(members) => {
                let member = |(key, value): &(String, Tree)| format!("{}{colon}{}", json!(key), value.text(is_spaced));
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{open}{}{open}}}", members.join(comma))
            }
        }
    }

    /// What is one step smaller.
    fn smaller(&self) -> Vec<Tree> {
        match self {
            Tree::Leaf(text) if text == "1" => Vec::new(),
            Tree::Leaf(_) => vec![Tree::Leaf("1".to_owned())],
            Tree::List(items) => {
                let mut all = items.clone();
                all.extend(without_one(items).map(Tree::List));
                all.extend(with_one_smaller(items, Tree::smaller).map(Tree::List));
                all
            }
            Tree::Object(members) => {
                let mut all: Vec<Tree> = members.iter().map(|(_, value)| value.clone()).collect();
                all.extend(without_one(members).map(Tree::Object));
                let smaller = |(key, value): &(String, Tree)| {
                    value.smaller().into_iter().map(|value| (key.clone(), value)).collect()
                };
                all.extend(with_one_smaller(members, smaller).map(Tree::Object));
                all
            }
        }
    }
}

impl Element {
    fn random(random: &mut Random, depth: usize) -> Element {
        let name = random.pick(&["a", "a", "b", "b", "c", "list"]).to_owned();
        let texts = ["", "", "x", "1", "a &amp; b", "é"];
        let mut attributes: Vec<(String, String)> = Vec::new();
        for name in ["a", "b", "id"] {
            if random.one_in(5) {
                attributes.push((name.to_owned(), random.pick(&texts).to_owned()));
            }
        }
        let count = if depth == 0 { 0 } else { random.below(5) };
        let children = (0..count).map(|_| Element::random(random, depth - 1)).collect();
        Element { name, attributes, text: random.pick(&texts).to_owned(), children }
    }

    fn text(&self) -> String {
        let attributes: String = self.attributes.iter().map(|(name, value)| format!(" {name}=\"{value}\"")).collect();
        let children: String = self.children.iter().map(Element::text).collect();
        format!("<{0}{attributes}>{1}{children}</{0}>", self.name, self.text)
    }

    fn smaller(&self) -> Vec<Element> {
        let mut all = self.children.clone();
        if !self.attributes.is_empty() || !self.text.is_empty() {
            all.push(Element { attributes: Vec::new(), text: String::new(), ..self.clone() });
        }
        all.extend(without_one(&self.children).map(|children| Element { children, ..self.clone() }));
        let smaller = with_one_smaller(&self.children, Element::smaller);
        all.extend(smaller.map(|children| Element { children, ..self.clone() }));
        all
    }
}

fn without_one<T: Clone>(all: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    (0..all.len()).map(|left_out| {
        let mut rest = all.to_vec();
        rest.remove(left_out);
        rest
    })
}

fn with_one_smaller<'a, T: Clone>(
    all: &'a [T],
    smaller: impl Fn(&T) -> Vec<T> + 'a,
) -> impl Iterator<Item = Vec<T>> + 'a {
    all.iter().enumerate().flat_map(move |(index, one)| {
        smaller(one).into_iter().map(move |one| {
            let mut changed = all.to_vec();
            changed[index] = one;
            changed
        })
    })
}

impl Source {
    pub fn random(random: &mut Random) -> Source {
        if random.one_in(5) {
            return Source::Xml(Element::random(random, 3));
        }
        let is_spaced = random.one_in(4);
        Source::Json { tree: Tree::random(random, 4), is_spaced }
    }

    pub fn text(&self) -> String {
        match self {
            Source::Json { tree, is_spaced } => tree.text(*is_spaced),
            Source::Xml(element) => element.text(),
        }
    }

    /// As the script gets it.
    pub fn document(&self) -> Document {
        let mut document = Document::default();
        let limits = Limits::default();
        match self {
            Source::Json { .. } => formats::json::parse(self.text().as_bytes(), &limits, &mut document).unwrap(),
            Source::Xml(_) => {
                let arrays = vec!["a.list".to_owned(), "a.b".to_owned(), "b.a.a".to_owned()];
                let options = formats::xml::XmlOptions { arrays, ..Default::default() };
                let reader = formats::xml::Reader::new(&options).unwrap();
                reader.parse(self.text().as_bytes(), &limits, &mut document).unwrap();
                document.set_format(Format::Json);
            }
        }
        document
    }

    /// What is one step smaller.
    pub fn smaller(&self) -> Vec<Source> {
        match self {
            Source::Json { tree, is_spaced } => {
                let mut all = Vec::new();
                if *is_spaced {
                    all.push(Source::Json { tree: tree.clone(), is_spaced: false });
                }
                all.extend(tree.smaller().into_iter().map(|tree| Source::Json { tree, is_spaced: *is_spaced }));
                all
            }
            Source::Xml(element) => element.smaller().into_iter().map(Source::Xml).collect(),
        }
    }
}
