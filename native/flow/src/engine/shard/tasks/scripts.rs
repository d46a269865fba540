//! Collects scripts that are done, as often as the executor says so.

use std::rc::Rc;

use tokio::task::yield_now;

use super::super::Shard;
use super::super::turn::TURN_FUEL;

pub async fn collect(shard: Rc<Shard>) {
    let mut done = Vec::new();
    loop {
        shard.scripts_done.notified().await;
        shard.executor.completed(&mut done);
        let mut left = done.drain(..);
        while left.len() > 0 {
            shard.with(|parts| {
                for one in left.by_ref() {
                    if let Some(revision) = parts.steps.revision_of(&one) {
                        parts.cpu.switch(revision);
                    }
                    parts.steps.on_script(&mut parts.settlement, one);
                    // The steps behind the script may be costly.
                    if expression::take_spent() > TURN_FUEL {
                        break;
                    }
                }
                parts.cpu.end(|| shard.world.thread_cpu());
            });
            if left.len() > 0 {
                yield_now().await;
            }
        }
    }
}
