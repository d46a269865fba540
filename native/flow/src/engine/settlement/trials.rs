//! What the two revisions of a pipeline with a canary run, and what fails of it. Without a canary nothing is counted.

use super::Settlement;
use crate::engine::message::{Envelope, Owner};
use crate::engine::observe::Role;

impl Settlement {
    /// The steps of a message begin.
    #[inline]
    pub fn note_run(&self, owner: &Owner) {
        if let Some(trial) = &owner.trial {
            trial.runs.began(trial.role);
            self.meters.runs.began(trial.role);
        }
    }

    /// Its steps have made a dead letter of a message, or of parts of it.
    pub fn note_failed(&self, envelope: &Envelope<'_>) {
        if let Some(trial) = &envelope.owner.trial {
            self.failed(envelope, trial.role);
        }
    }

    /// An out has refused a message for good, whichever revision has made it.
    pub fn note_refused(&self, envelope: &Envelope<'_>) {
        if let Some(trial) = &envelope.owner.trial {
            self.failed(envelope, trial.maker(envelope.headers));
        }
    }

    fn failed(&self, envelope: &Envelope<'_>, role: Role) {
        if let Some(trial) = &envelope.owner.trial {
            trial.runs.failed(role);
            self.meters.runs.failed(role);
        }
    }
}
