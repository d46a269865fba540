//! What `set`, `remove` and `rename` share: their paths, and the faults of a refused edit.

use message::{Code, EditError, Fault, Path, Segment};

/// # Errors
/// `config/invalid-path` with the column.
pub(crate) fn parse_path(text: &str) -> Result<Path, Fault> {
    Path::parse(text).map_err(|error| {
        let column = text.get(..error.offset).unwrap_or(text).chars().count() + 1;
        let fault = Fault::new(Code::ConfigInvalidPath, format!("the path `{text}` {}", error.reason));
        fault.at_column(u32::try_from(column).unwrap_or(u32::MAX))
    })
}

/// The JSON pointer to a key of a mapping (RFC 6901).
pub(crate) fn pointer(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

pub(crate) fn depth_of(path: &Path) -> usize {
    path.segments().len()
}

/// The fault of a refused edit; its field is the path as far as it leads.
#[cold]
pub(crate) fn refused(path: &Path, error: EditError) -> Fault {
    let (code, at, why) = match error {
        EditError::NotAnObject { at } => (Code::SetNotAnObject, at, "leads through a value that is no object"),
        EditError::NoSuchIndex { at } => (Code::SetNoSuchIndex, at, "names an index that the list does not have"),
        EditError::NameTaken { at } => (Code::SetNameTaken, at, "would get the name of a field that exists"),
    };
    let parts = if matches!(error, EditError::NotAnObject { .. }) { at } else { at + 1 };
    Fault::new(code, format!("`{path}` {why}")).in_field(prefix(path, parts.max(1)))
}

fn prefix(path: &Path, parts: usize) -> String {
    let mut text = String::new();
    for segment in path.segments().iter().take(parts) {
        match segment {
            Segment::Key(name) => {
                text.push_str(if text.is_empty() { "" } else { "." });
                text.push_str(name);
            }
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
