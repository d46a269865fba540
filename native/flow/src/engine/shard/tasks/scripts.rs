//! Collects scripts that are done, as often as the executor says so.

use std::rc::Rc;

use super::super::Shard;

pub async fn collect(shard: Rc<Shard>) {
    let mut done = Vec::new();
    loop {
        shard.scripts_done.notified().await;
        shard.executor.completed(&mut done);
        shard.with(|parts| {
            for one in done.drain(..) {
                if let Some(revision) = parts.steps.revision_of(&one) {
                    parts.cpu.switch(revision);
                }
                parts.steps.on_script(&mut parts.settlement, one);
            }
            parts.cpu.end(|| shard.world.thread_cpu());
        });
    }
}
