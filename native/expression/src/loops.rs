//! The macros: `all`, `exists`, `exists_one`, `map`, `filter`.

use crate::compare::described;
use crate::evaluate::{Evaluation, Outcome};
use crate::failure::{Failure, Kind, Mishap};
use crate::operand::{Operand, Walk, walk};
use crate::program::{Macro, MacroKind, Node};

impl<'a> Evaluation<'a> {
    pub(crate) fn walk(&mut self, expanded: &'a Macro, node: &'a Node) -> Outcome<'a> {
        let range = self.evaluate(&expanded.range)?;
        let Some(items) = walk(&range) else {
            let reason = format!("a macro walks a list or a map, not {}", described(&range));
            return Err(Mishap::wrong_type(reason).at(&expanded.range));
        };
        // Its own slot, whatever the macros around it left behind.
        self.locals.truncate(expanded.slot);
        self.locals.push(Operand::Null);
        let result = match expanded.kind {
            MacroKind::All => self.decide(expanded, items, node, false),
            MacroKind::Exists => self.decide(expanded, items, node, true),
            MacroKind::ExistsOne => self.exists_one(expanded, items, node),
            MacroKind::Collect => self.collect(expanded, items, node),
        };
        self.locals.truncate(expanded.slot);
        result
    }

    fn enter(&mut self, slot: usize, item: Operand<'a>, node: &'a Node) -> Result<(), Box<Failure<'a>>> {
        self.fuel.charge(1).map_err(|mishap| mishap.at(node))?;
        if let Some(local) = self.locals.get_mut(slot) {
            *local = item;
        }
        Ok(())
    }

    /// `all` and `exists`: one element that gives `decisive` decides, whatever the others do.
    fn decide(&mut self, expanded: &'a Macro, items: Walk<'a>, node: &'a Node, decisive: bool) -> Outcome<'a> {
        let mut failed = None;
        for item in items {
            self.enter(expanded.slot, item, node)?;
            match self.truth(&expanded.body, if decisive { "exists" } else { "all" }) {
                Ok(value) if value == decisive => return Ok(Operand::Bool(decisive)),
                Ok(_) => {}
                Err(failure) if failure.kind == Kind::TooExpensive => return Err(failure),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Operand::Bool(!decisive)),
        }
    }

    /// Every element is asked, and an error is an error.
    fn exists_one(&mut self, expanded: &'a Macro, items: Walk<'a>, node: &'a Node) -> Outcome<'a> {
        let mut found = 0_usize;
        for item in items {
            self.enter(expanded.slot, item, node)?;
            found += usize::from(self.truth(&expanded.body, "exists_one")?);
        }
        Ok(Operand::Bool(found == 1))
    }

    fn collect(&mut self, expanded: &'a Macro, items: Walk<'a>, node: &'a Node) -> Outcome<'a> {
        let mut collected = Vec::new();
        for item in items {
            self.enter(expanded.slot, item, node)?;
            let taken = match &expanded.filter {
                Some(filter) => self.truth(filter, "filter")?,
                None => true,
            };
            if taken {
                collected.push(self.evaluate(&expanded.body)?);
            }
        }
        Ok(Operand::list(collected))
    }
}
