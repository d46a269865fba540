//! What a document has to be equal to: a plain tree, edited the plain way.

use message::{Document, EditError, Kind, NONE, Path, Segment, Value};
use proptest::prelude::*;

#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    Null,
    Bool(bool),
    /// The digits as they are written.
    Number(String),
    Text(String),
    Object(Vec<(String, Model)>),
    List(Vec<Model>),
}

impl Model {
    /// What a reader of the document sees.
    pub fn read(value: Value<'_>) -> Model {
        let text = || value.text().expect("texts and numbers have a text").into_owned();
        match value.kind() {
            Kind::Null => Model::Null,
            Kind::False => Model::Bool(false),
            Kind::True => Model::Bool(true),
            Kind::Number => Model::Number(text()),
            Kind::Text => Model::Text(text()),
            Kind::Object => {
                Model::Object(value.members().map(|(key, value)| (key.into_owned(), Model::read(value))).collect())
            }
            Kind::List => Model::List(value.items().map(Model::read).collect()),
        }
    }

    pub fn json(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self {
            Model::Null => "null".into(),
            Model::Bool(value) => value.to_string(),
            Model::Number(digits) => digits.clone(),
            Model::Text(text) => quoted(text),
            Model::Object(members) => {
                let members = members.iter().map(|(key, value)| format!("{}:{}", quoted(key), value.json()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
            Model::List(items) => format!("[{}]", items.iter().map(Model::json).collect::<Vec<_>>().join(",")),
        }
    }

    /// Builds the value on the tape; gives its node.
    pub fn build(&self, document: &mut Document) -> u32 {
        let children: Vec<(&str, &Model)> = match self {
            Model::Null => return document.push(message::Node::new(Kind::Null)),
            Model::Bool(value) => return document.push_bool(*value),
            Model::Number(digits) => return document.push_leaf(Kind::Number, digits.as_bytes()),
            Model::Text(text) => return document.push_text(text),
            Model::Object(members) => members.iter().map(|(key, value)| (key.as_str(), value)).collect(),
            Model::List(items) => items.iter().map(|item| ("", item)).collect(),
        };
        let kind = if matches!(self, Model::List(_)) { Kind::List } else { Kind::Object };
        let parent = document.push(message::Node::new(kind));
        let mut previous = NONE;
        for (key, value) in children {
            let child = value.build(document);
            document.node_mut(child).key = document.append(key.as_bytes());
            document.link(parent, previous, child);
            previous = child;
        }
        parent
    }

    pub fn at(&self, path: &[Segment]) -> Option<&Model> {
        path.iter().try_fold(self, |model, segment| match (model, segment) {
            (Model::Object(members), Segment::Key(name)) => {
                members.iter().find(|(key, _)| **key == **name).map(|(_, value)| value)
            }
            (Model::List(items), Segment::Index(index)) => items.get(*index as usize),
            _ => None,
        })
    }

    pub fn set(&mut self, path: &[Segment], value: Model) -> Result<(), EditError> {
        self.set_from(path, 0, value)
    }

    fn set_from(&mut self, path: &[Segment], at: usize, value: Model) -> Result<(), EditError> {
        let Some(segment) = path.get(at) else {
            *self = value;
            return Ok(());
        };
        if *self == Model::Null && matches!(segment, Segment::Key(_)) {
            if let Some(index) = path.iter().skip(at).position(|segment| matches!(segment, Segment::Index(_))) {
                return Err(EditError::NoSuchIndex { at: at + index });
            }
            *self = Model::Object(Vec::new());
        }
        match (self, segment) {
            (Model::Object(members), Segment::Key(name)) => {
                if let Some((_, member)) = members.iter_mut().find(|(key, _)| **key == **name) {
                    return member.set_from(path, at + 1, value);
                }
                let mut member = Model::Null;
                if at + 1 < path.len() && matches!(path[at + 1], Segment::Index(_)) {
                    return Err(EditError::NoSuchIndex { at: at + 1 });
                }
                member.set_from(path, at + 1, value)?;
                members.push((name.to_string(), member));
                Ok(())
            }
            (Model::List(items), Segment::Index(index)) => match items.get_mut(*index as usize) {
                Some(item) => item.set_from(path, at + 1, value),
                None => Err(EditError::NoSuchIndex { at }),
            },
            _ => Err(EditError::NotAnObject { at }),
        }
    }

    pub fn remove(&mut self, path: &[Segment]) -> bool {
        let Some((last, way)) = path.split_last() else { return false };
        match (self.at_mut(way), last) {
            (Some(Model::Object(members)), Segment::Key(name)) => {
                let before = members.len();
                members.retain(|(key, _)| **key != **name);
                members.len() < before
            }
            (Some(Model::List(items)), Segment::Index(index)) if (*index as usize) < items.len() => {
                items.remove(*index as usize);
                true
            }
            _ => false,
        }
    }

    pub fn rename(&mut self, path: &[Segment], name: &str) -> Result<bool, EditError> {
        let Some((last, way)) = path.split_last() else { return Ok(false) };
        match (self.at_mut(way), last) {
            (Some(Model::Object(members)), Segment::Key(old)) => {
                let Some(position) = members.iter().position(|(key, _)| **key == **old) else { return Ok(false) };
                if members.iter().enumerate().any(|(other, (key, _))| other != position && key == name) {
                    return Err(EditError::NameTaken { at: way.len() });
                }
                members[position].0 = name.to_owned();
                Ok(true)
            }
            (Some(Model::List(items)), Segment::Index(index)) if (*index as usize) < items.len() => {
                Err(EditError::NotAnObject { at: way.len() })
            }
            _ => Ok(false),
        }
    }

    fn at_mut(&mut self, path: &[Segment]) -> Option<&mut Model> {
        path.iter().try_fold(self, |model, segment| match (model, segment) {
            (Model::Object(members), Segment::Key(name)) => {
                members.iter_mut().find(|(key, _)| **key == **name).map(|(_, value)| value)
            }
            (Model::List(items), Segment::Index(index)) => items.get_mut(*index as usize),
            _ => None,
        })
    }

    /// Every path that leads somewhere.
    pub fn paths(&self) -> Vec<Vec<Segment>> {
        let mut paths = Vec::new();
        let mut open = vec![(Vec::new(), self)];
        while let Some((path, model)) = open.pop() {
            let below = |segment: Segment| [path.clone(), vec![segment]].concat();
            match model {
                Model::Object(members) => {
                    open.extend(members.iter().map(|(key, value)| (below(Segment::Key(key.as_str().into())), value)))
                }
                Model::List(items) => {
                    open.extend(items.iter().zip(0..).map(|(item, index)| (below(Segment::Index(index)), item)))
                }
                _ => {}
            }
            if !path.is_empty() {
                paths.push(path);
            }
        }
        paths
    }
}

/// A path through `Path`'s own grammar.
pub fn path(segments: &[Segment]) -> Path {
    let text: String = segments
        .iter()
        .map(|segment| match segment {
            Segment::Key(name) => format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")),
            Segment::Index(index) => format!("[{index}]"),
        })
        .collect();
    Path::parse(&text).unwrap()
}

pub fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[abc]", 1 => Just("@id".into()), 1 => Just("#text".into()), 1 => "[a-z]{5,10}", 1 => "é|a b"]
}

pub fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][-+]?[0-9]{1,2})?"
}

pub fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        Just(Model::Null),
        any::<bool>().prop_map(Model::Bool),
        number().prop_map(Model::Number),
        "[ -~é😀\n\"\\\\]{0,12}".prop_map(Model::Text),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            3 => proptest::collection::vec((key(), inner.clone()), 0..6).prop_map(object),
            1 => proptest::collection::vec(inner, 0..6).prop_map(Model::List),
        ]
    })
}

/// An object without its repeated keys.
pub fn object(members: Vec<(String, Model)>) -> Model {
    let mut kept: Vec<(String, Model)> = Vec::new();
    for (key, value) in members {
        if kept.iter().all(|(other, _)| *other != key) {
            kept.push((key, value));
        }
    }
    Model::Object(kept)
}
