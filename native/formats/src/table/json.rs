//! Tables in JSON: an object whose names are the keys, or a list of objects with a member that is the key.

use message::{Document, Fault, Kind, Limits, Table, Value};

use super::{JsonOptions, MAX_ROWS, MAX_VALUES, invalid, quoted, too_large};

/// Levels of one file.
const MAX_DEPTH: usize = 32;

pub fn parse(text: &str, options: &JsonOptions) -> Result<Table, Fault> {
    let limits = Limits { depth: MAX_DEPTH, nodes: MAX_VALUES, ..Limits::default() };
    let mut document = Document::default();
    crate::json::parse(text.as_bytes(), &limits, &mut document)
        .map_err(|fault| invalid(text, fault.place().offset.unwrap_or(0), fault.reason()))?;
    let keys = keys(text, &document, options)?;
    if keys.len() > MAX_ROWS {
        return Err(too_large(text, 0, format!("the table has more than {MAX_ROWS} rows")));
    }
    let mut table = Table::new(document, Box::default());
    for (key, node) in keys {
        if !table.insert(&key, node) {
            let at = table.document().node(node).value.start as usize;
            return Err(invalid(text, at, format!("the key {} stands twice", quoted(&key))));
        }
    }
    Ok(table)
}

/// Each row's key, and its node.
fn keys(text: &str, document: &Document, options: &JsonOptions) -> Result<Vec<(String, u32)>, Fault> {
    let root = document.root();
    match (root.kind(), &options.key) {
        (Kind::Object, None) => Ok(root.members().map(|(key, row)| (key.into_owned(), row.position().0)).collect()),
        (Kind::List, Some(key)) => {
            root.items().map(|row| Ok((key_of(text, &row, key)?, row.position().0))).collect::<Result<_, _>>()
        }
        (Kind::Object, Some(_)) => {
            let reason = "the table is an object, whose names are the keys; take `key` away";
            Err(invalid(text, 0, reason).at_pointer("/key"))
        }
        (Kind::List, None) => Err(invalid(text, 0, "the table is a list; name the member that is the `key` of a row")),
        _ => Err(invalid(text, 0, "the table is neither an object nor a list of objects")),
    }
}

fn key_of(text: &str, row: &Value<'_>, key: &str) -> Result<String, Fault> {
    let at = || row.document().node(row.position().0).value.start as usize;
    if row.kind() != Kind::Object {
        return Err(invalid(text, at(), "the row is no object"));
    }
    let Some(found) = row.get(key) else {
        return Err(invalid(text, at(), format!("the row has no member {}", quoted(key))));
    };
    match found.kind() {
        Kind::Text | Kind::Number => Ok(found.text().unwrap_or_default().into_owned()),
        Kind::True => Ok("true".to_owned()),
        Kind::False => Ok("false".to_owned()),
        _ => Err(invalid(text, at(), format!("{} of the row is neither text, number nor boolean", quoted(key)))),
    }
}
