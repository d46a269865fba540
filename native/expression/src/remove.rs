//! `remove: [PATH, ...]`: takes fields away. One that is not there is no error.

use message::{Fault, Path, Step, Verdict, Work};

use crate::edit::parse_path;

/// Parsed paths. Immutable; shared by all threads.
#[derive(Debug)]
pub struct Remove {
    paths: Box<[Path]>,
}

impl Remove {
    /// # Errors
    /// `config/invalid-path` with the entry's position as pointer: `/0`.
    pub fn compile<P: AsRef<str>>(paths: &[P]) -> Result<Remove, Fault> {
        let parsed = paths.iter().enumerate().map(|(position, path)| {
            parse_path(path.as_ref()).map_err(|fault| fault.at_pointer(format!("/{position}")))
        });
        parsed.collect::<Result<_, _>>().map(|paths| Remove { paths })
    }
}

impl Step for Remove {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn apply(&self, work: &mut Work<'_, '_>) -> Result<Verdict, Fault> {
        for path in &self.paths {
            work.document.remove(path);
        }
        Ok(Verdict::Pass)
    }
}
