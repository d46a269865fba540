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
                parts.steps.on_script(&mut parts.settlement, one);
            }
        });
    }
}
