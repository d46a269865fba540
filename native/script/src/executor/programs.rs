//! The programs that an executor knows: each for as long as it is loaded, or a task of it is in hand.

use std::collections::HashMap;
use std::sync::Arc;

use crate::program::{Program, ProgramId};

#[derive(Default)]
pub struct Programs {
    known: HashMap<ProgramId, Known>,
}

struct Known {
    program: Arc<Program>,
    loads: usize,
    tasks: usize,
}

impl Programs {
    pub fn load(&mut self, program: &Arc<Program>) {
        let new = || Known { program: Arc::clone(program), loads: 0, tasks: 0 };
        self.known.entry(program.id()).or_insert_with(new).loads += 1;
    }

    /// Gives whether that was the end of it: it may be freed.
    pub fn unload(&mut self, id: ProgramId) -> bool {
        self.release(id, |known| &mut known.loads)
    }

    /// A program for one task more; none when it is not loaded.
    pub fn begin(&mut self, id: ProgramId) -> Option<Arc<Program>> {
        let known = self.known.get_mut(&id).filter(|known| known.loads > 0)?;
        known.tasks += 1;
        Some(Arc::clone(&known.program))
    }

    /// Ends a task that has begun; gives whether that was the end of the program.
    pub fn end(&mut self, id: ProgramId) -> bool {
        self.release(id, |known| &mut known.tasks)
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    fn release(&mut self, id: ProgramId, count: impl Fn(&mut Known) -> &mut usize) -> bool {
        let Some(known) = self.known.get_mut(&id) else { return false };
        let count = count(known);
        *count = count.saturating_sub(1);
        let is_over = known.loads == 0 && known.tasks == 0;
        if is_over {
            self.known.remove(&id);
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Language, compile};

    #[test]
    fn a_program_is_known_while_it_is_loaded_or_a_task_of_it_is_in_hand() {
        let program = Arc::new(compile("export default msg => msg", Language::JavaScript, "t.js").unwrap());
        let (id, mut programs) = (program.id(), Programs::default());
        assert!(programs.begin(id).is_none() && !programs.unload(id) && !programs.end(id));
        programs.load(&program);
        programs.load(&program);
        assert!(programs.begin(id).is_some());
        assert!(!programs.unload(id) && !programs.unload(id), "a task is in hand");
        assert!(programs.begin(id).is_none(), "but no further one is taken");
        assert!(!programs.unload(id), "one unload too many takes nothing away from the task");
        assert!(programs.end(id));
        assert_eq!(programs.len(), 0);
        programs.load(&program);
        assert!(programs.begin(id).is_some() && !programs.end(id));
        assert!(programs.unload(id), "loaded again, unloaded again");
        assert_eq!(Arc::strong_count(&program), 1);
    }
}
