//! Fields: a path walked on the tape, members and elements of built values, `has`.

use std::rc::Rc;

use message::{Headers, Kind as JsonKind, Value};

use crate::compare::{self, equal};
use crate::evaluate::{Evaluation, META, Outcome};
use crate::failure::{Failure, Kind, Mishap};
use crate::operand::{List, Map, Operand, header_value};
use crate::program::{Node, Part, Path, Start};
use crate::time::Timestamp;

impl<'a> Evaluation<'a> {
    #[inline]
    pub fn path(&mut self, path: &'a Path, node: &'a Node) -> Outcome<'a> {
        match path.start {
            Start::Message => self.document_path(path, node),
            _ => self.other_path(path, node),
        }
    }

    #[inline]
    fn document_path(&mut self, path: &'a Path, node: &'a Node) -> Outcome<'a> {
        let mut value = self.document.root();
        for (position, part) in path.parts.iter().enumerate() {
            let Part::Name(name) = part else {
                return self.rest_of_path(Operand::Tape(value), path, position, node);
            };
            let (found, walked) = value.find(name);
            self.fuel.charge_items(walked).map_err(|mishap| mishap.at(node))?;
            match found {
                Some(member) => value = member,
                None => return Err(broken(no_member(&Operand::Tape(value), name), path, position, node)),
            }
        }
        Ok(Operand::Tape(value))
    }

    /// The value that a path of names leads to; `None` when it has other parts, leads nowhere, or
    /// there is no fuel for it.
    #[inline]
    pub fn field(&mut self, path: &'a Path) -> Option<Value<'a>> {
        if !matches!(path.start, Start::Message) {
            return None;
        }
        let mut value = self.document.root();
        for part in &path.parts {
            let Part::Name(name) = part else { return None };
            let (found, walked) = value.find(name);
            self.fuel.charge_items(walked).ok()?;
            value = found?;
        }
        Some(value)
    }

    #[inline(never)]
    fn other_path(&mut self, path: &'a Path, node: &'a Node) -> Outcome<'a> {
        let start = match &path.start {
            Start::Message => Operand::Tape(self.document.root()),
            Start::Headers => Operand::Map(Map::Headers(self.context.headers)),
            Start::Meta => match path.parts.first() {
                Some(Part::Name(name)) => {
                    let Some(value) = self.meta(name) else {
                        return Err(Mishap::new(Kind::MissingField, format!("meta has no field {name}")).at(node));
                    };
                    return self.rest_of_path(value, path, 1, node);
                }
                _ => self.whole_meta(),
            },
            Start::Local(slot, _) => self.locals.get(*slot).cloned().unwrap_or(Operand::Null),
        };
        self.rest_of_path(start, path, 0, node)
    }

    fn rest_of_path(&mut self, start: Operand<'a>, path: &'a Path, from: usize, node: &'a Node) -> Outcome<'a> {
        let mut value = start;
        for (position, part) in path.parts.iter().enumerate().skip(from) {
            let next = match part {
                Part::Name(name) => self.member(&value, name),
                Part::Position(index) => self.index(&value, &Operand::Int(i64::from(*index))),
            };
            value = next.map_err(|mishap| broken(mishap, path, position, node))?;
        }
        Ok(value)
    }

    fn meta(&self, name: &str) -> Option<Operand<'a>> {
        let context = self.context;
        Some(match name {
            "id" => Operand::borrowed(context.id),
            "customer" => Operand::borrowed(context.customer),
            "pipeline" => Operand::borrowed(context.pipeline),
            "revision" => Operand::borrowed(context.revision),
            "time" => Operand::Timestamp(Timestamp::from_millis(context.time_ms)),
            _ => return None,
        })
    }

    fn whole_meta(&self) -> Operand<'a> {
        Operand::map(META.iter().filter_map(|name| Some((Operand::borrowed(name), self.meta(name)?))).collect())
    }

    /// `value.name`
    pub fn member(&mut self, value: &Operand<'a>, name: &str) -> Result<Operand<'a>, Mishap> {
        self.find(value, name)?.ok_or_else(|| no_member(value, name))
    }

    pub fn has(&mut self, value: &Operand<'a>, name: &str) -> Result<bool, Mishap> {
        self.find(value, name).map(|found| found.is_some())
    }

    /// The member `name` of a map; a wrong type for anything else.
    fn find(&mut self, value: &Operand<'a>, name: &str) -> Result<Option<Operand<'a>>, Mishap> {
        match value {
            Operand::Tape(value) if value.kind() == JsonKind::Object => {
                let (found, walked) = value.find(name);
                self.fuel.charge_items(walked)?;
                Ok(found.map(Operand::Tape))
            }
            Operand::Map(Map::Headers(headers)) => self.header(*headers, name),
            Operand::Map(_) => self.lookup(value, &Operand::text(name)),
            _ => Err(no_member(value, name)),
        }
    }

    fn header(&mut self, headers: Headers<'a>, name: &str) -> Result<Option<Operand<'a>>, Mishap> {
        let mut walked = 0;
        let same = |known: &[u8]| known.eq_ignore_ascii_case(name.as_bytes());
        let found = headers.iter().inspect(|_| walked += 1).find(|(known, _)| same(known));
        self.fuel.charge_items(walked)?;
        Ok(found.map(|(_, value)| header_value(value)))
    }

    /// `value[key]`
    pub fn index(&mut self, value: &Operand<'a>, key: &Operand<'a>) -> Result<Operand<'a>, Mishap> {
        match value {
            Operand::Tape(list) if list.kind() == JsonKind::List => {
                let index = position(key)?;
                // Walked, and paid for: the tape has no table of elements.
                self.fuel.charge_items(index.min(list.document().node_count()))?;
                list.items().nth(index).map(Operand::Tape).ok_or_else(|| out_of_range(index))
            }
            Operand::List(List::Shared(items)) => {
                let index = position(key)?;
                items.get(index).cloned().ok_or_else(|| out_of_range(index))
            }
            Operand::List(List::Fixed(items)) => {
                let index = position(key)?;
                items.get(index).map(Operand::from).ok_or_else(|| out_of_range(index))
            }
            _ => {
                let found = self.lookup(value, key)?;
                found.ok_or_else(|| compare::check_key(key).err().unwrap_or_else(|| no_key(key)))
            }
        }
    }

    /// The value that a map holds under `key`.
    fn lookup(&mut self, map: &Operand<'a>, key: &Operand<'a>) -> Result<Option<Operand<'a>>, Mishap> {
        match (map, key) {
            (Operand::Tape(value), Operand::Text(name)) if value.kind() == JsonKind::Object => self.find(map, name),
            // The keys of JSON are strings: no other key is in it.
            (Operand::Tape(value), _) if value.kind() == JsonKind::Object => Ok(None),
            (Operand::Map(Map::Headers(headers)), Operand::Text(name)) => self.header(*headers, name),
            (Operand::Map(Map::Headers(_)), _) => Ok(None),
            (Operand::Map(Map::Shared(entries)), _) => {
                let entries = Rc::clone(entries);
                for (known, value) in entries.iter() {
                    self.fuel.charge(1)?;
                    if equal(known, key, &mut self.fuel)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
            (Operand::Map(Map::Fixed(entries)), _) => {
                for (known, value) in *entries {
                    self.fuel.charge(1)?;
                    if equal(&Operand::from(known), key, &mut self.fuel)? {
                        return Ok(Some(Operand::from(value)));
                    }
                }
                Ok(None)
            }
            _ => Err(Mishap::wrong_type(format!("{} has no elements to index", compare::described(map)))),
        }
    }
}

/// A list's index: an int, a uint, or a double without a fraction.
fn position(key: &Operand<'_>) -> Result<usize, Mishap> {
    let index = match key {
        Operand::Int(index) => i128::from(*index),
        Operand::Uint(index) => i128::from(*index),
        #[allow(clippy::cast_possible_truncation)] // saturates, and is out of range then
        Operand::Double(index) if index.fract() == 0.0 => *index as i128,
        Operand::Double(_) => return Err(Mishap::failed("a list's index has to be a whole number")),
        _ => {
            return Err(Mishap::wrong_type(format!("a list is indexed by an int, not by {}", compare::described(key))));
        }
    };
    usize::try_from(index).map_err(|_| Mishap::new(Kind::MissingField, format!("index {index} is out of range")))
}

#[cold]
fn out_of_range(index: usize) -> Mishap {
    Mishap::new(Kind::MissingField, format!("index {index} is out of range"))
}

#[cold]
fn no_key(key: &Operand<'_>) -> Mishap {
    match key {
        Operand::Text(name) => Mishap::new(Kind::MissingField, format!("there is no key \"{}\"", shortened(name))),
        _ => Mishap::new(Kind::MissingField, format!("there is no such key; it is {}", compare::described(key))),
    }
}

#[cold]
fn no_member(value: &Operand<'_>, name: &str) -> Mishap {
    let is_map = match value {
        Operand::Tape(value) => Value::kind(value) == JsonKind::Object,
        Operand::Map(_) => true,
        _ => false,
    };
    if is_map {
        return Mishap::new(Kind::MissingField, format!("there is no field {}", shortened(name)));
    }
    let hint = match value {
        Operand::Tape(value) if value.kind() == JsonKind::List => "; index it, or use a macro such as exists()",
        Operand::List(_) => "; index it, or use a macro such as exists()",
        _ => "",
    };
    Mishap::wrong_type(format!("{} has no field {}{hint}", compare::described(value), shortened(name)))
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The failing part of a path is the one after `position`: that is the field that is named.
#[cold]
fn broken<'a>(mishap: Mishap, path: &Path, position: usize, node: &'a Node) -> Box<Failure<'a>> {
    // A wrong type is about the value before the part, a missing field about the part itself.
    let parts = if mishap.kind == Kind::MissingField { position + 1 } else { position };
    let parts = parts.max(usize::from(matches!(path.start, Start::Message)).min(path.parts.len()));
    Box::new(Failure { kind: mishap.kind, reason: mishap.reason, node, parts })
}
