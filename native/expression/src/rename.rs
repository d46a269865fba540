//! `rename: {PATH: NAME, ...}`: gives fields another key, in their place. One that is not there is
//! no error; a name that is taken is.

use message::{Code, Fault, Path, Step, Verdict, Work};

use crate::edit::{parse_path, pointer, refused};

/// Bytes of a new name; the same as [`message::Limits::name_bytes`] allows by default.
const MAX_NAME: usize = 1024;

/// Parsed renames. Immutable; shared by all threads.
#[derive(Debug)]
pub struct Rename {
    renames: Box<[(Path, Box<str>)]>,
}

impl Rename {
    /// Takes `(path, name)` entries; a name is a key, not a path.
    ///
    /// # Errors
    /// `config/invalid-path`, and `config/invalid-value` for an empty or overlong name, with the
    /// entry's path as pointer.
    pub fn compile<P: AsRef<str>, N: AsRef<str>>(entries: &[(P, N)]) -> Result<Rename, Fault> {
        let parsed = entries.iter().map(|(path, name)| {
            let (path, name) = (path.as_ref(), name.as_ref());
            let pointed = |fault: Fault| fault.at_pointer(pointer(path));
            if name.is_empty() || name.len() > MAX_NAME {
                let reason = format!("the new name of `{path}` has {} bytes; 1 to {MAX_NAME} are allowed", name.len());
                return Err(pointed(Fault::new(Code::ConfigInvalidValue, reason)));
            }
            Ok((parse_path(path).map_err(pointed)?, name.into()))
        });
        parsed.collect::<Result<_, _>>().map(|renames| Rename { renames })
    }
}

impl Step for Rename {
    fn name(&self) -> &'static str {
        "rename"
    }

    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault> {
        for (path, name) in &self.renames {
            work.document.rename(path, name).map_err(|error| refused(path, error))?;
        }
        Ok(Verdict::Pass)
    }
}
