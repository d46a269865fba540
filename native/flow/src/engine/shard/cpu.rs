//! Whose work the shard's thread does: its CPU time, charged to pipelines.
//!
//! ```text
//! switch(a) switch(a) switch(b) pause ... end ─► a: one slice, b: one slice
//! ```
//!
//! A clock is read where the work passes from one pipeline to another, and not for each message. It is the one that is
//! cheap: the thread's CPU time is read at the end of a long burst alone, in which the machine may have run something
//! else, and bounds what is charged.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::registry::Revision;

/// In a shorter burst the thread was hardly ever interrupted: that would have made it longer.
const LONG: Duration = Duration::from_micros(500);

/// Of one shard.
pub struct CpuMeter {
    current: Option<Rc<Revision>>,
    /// When the work of `current` began.
    since: Instant,
    /// Of this burst.
    slices: Vec<(Rc<Revision>, Duration)>,
    /// The thread's CPU time, as it was read last.
    last: Option<Duration>,
}

impl Default for CpuMeter {
    fn default() -> CpuMeter {
        CpuMeter { current: None, since: Instant::now(), slices: Vec::new(), last: None }
    }
}

impl CpuMeter {
    /// The thread works for this revision from now on.
    #[inline]
    pub fn switch(&mut self, revision: &Rc<Revision>) {
        if !self.current.as_ref().is_some_and(|current| Rc::ptr_eq(current, revision)) {
            self.pass_to(Some(Rc::clone(revision)));
        }
    }

    /// It works for nobody in particular.
    #[inline]
    pub fn pause(&mut self) {
        if self.current.is_some() {
            self.pass_to(None);
        }
    }

    fn pass_to(&mut self, next: Option<Rc<Revision>>) {
        let now = Instant::now();
        if let Some(earlier) = std::mem::replace(&mut self.current, next) {
            self.slices.push((earlier, now - self.since));
        }
        self.since = now;
    }

    /// Ends a burst, and charges it. `cpu` reads what the thread has used since it began, where that is known.
    pub fn end(&mut self, cpu: impl FnOnce() -> Option<Duration>) {
        self.pause();
        let all: Duration = self.slices.iter().map(|(_, slice)| *slice).sum();
        let used = if all < LONG { all } else { self.bound(all, cpu()) };
        for (revision, slice) in self.slices.drain(..) {
            let charged = if used < all { slice.mul_f64(used.as_secs_f64() / all.as_secs_f64()) } else { slice };
            revision.owner.counters.used(charged);
        }
    }

    fn bound(&mut self, all: Duration, cpu: Option<Duration>) -> Duration {
        let Some(cpu) = cpu else { return all };
        let last = self.last.replace(cpu);
        last.map_or(all, |last| all.min(cpu.saturating_sub(last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use serde_json::json;
    use tokio::time::advance;

    use crate::compile::Pipeline;
    use crate::engine::registry::{Prepared, Registry, Secrets};

    fn revision(name: &str) -> Rc<Revision> {
        let file = json!({"customer": "acme", "pipeline": name, "in": {"http": {"path": "/x"}}, "out": {"stdout": {}}});
        let pipeline = Pipeline::from_json(&file.to_string(), &()).unwrap();
        let settings = serde_json::from_value(json!({"nats": {"url": "nats://127.0.0.1:1"}, "files": "."})).unwrap();
        let prepared = Prepared::new(pipeline, Secrets::default(), vec![Arc::default()], &settings).unwrap();
        Registry::new(0).install(&prepared, Vec::new()).0
    }

    async fn work(meter: &mut CpuMeter, whose: &[(&Rc<Revision>, u64)]) {
        for (revision, micros) in whose {
            meter.switch(revision);
            advance(Duration::from_micros(*micros)).await;
        }
    }

    fn micros(revision: &Revision) -> u64 {
        revision.owner.counters.usage().cpu_ns / 1_000
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
    }

    #[test]
    fn each_pipeline_pays_for_its_part_of_a_burst() {
        run(async {
            let (a, b, mut meter) = (revision("a"), revision("b"), CpuMeter::default());
            work(&mut meter, &[(&a, 10), (&a, 20), (&b, 40), (&a, 80)]).await;
            meter.pause();
            advance(Duration::from_micros(200)).await;
            meter.end(|| panic!("the CPU time of a short burst is not read"));
            assert_eq!((micros(&a), micros(&b)), (110, 40));
        });
    }

    #[test]
    fn time_in_which_the_machine_ran_something_else_is_charged_to_nobody() {
        run(async {
            let (a, b, mut meter) = (revision("a"), revision("b"), CpuMeter::default());
            work(&mut meter, &[(&a, 1_000)]).await;
            meter.end(|| Some(Duration::from_millis(10)));
            assert_eq!(micros(&a), 1_000);
            work(&mut meter, &[(&a, 3_000), (&b, 1_000)]).await;
            meter.end(|| Some(Duration::from_millis(12)));
            assert_eq!((micros(&a), micros(&b)), (2_500, 500));
        });
    }
}
