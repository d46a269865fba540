//! The clocks of a shard.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::super::Shard;
use crate::engine::observe::EventKind;

const SECOND: Duration = Duration::from_secs(1);
/// How often refused outputs are offered to their streams again.
const SHORT: Duration = Duration::from_millis(100);
/// A turn of the executor that lasts as long is stuck in a built-in, or in a script that may take this long.
const STUCK: Duration = Duration::from_secs(2);

/// Ticks once a second.
pub async fn tick(shard: Rc<Shard>) {
    let mut interval = every(SECOND);
    loop {
        interval.tick().await;
        let is_late = shard.with_unnoted(|parts| {
            let in_hand = parts.settlement.ledger().asked_for().messages;
            if parts.on_tick() || in_hand > 0 {
                parts.settlement.meters().note_activity();
            }
            parts.settlement.is_late()
        });
        if is_late {
            shard.outbox.suspect();
        }
        look_at_scripts(&shard);
    }
}

/// Ticks a few times a second, for what waits for room in a stream.
pub async fn short_tick(shard: Rc<Shard>) {
    let mut interval = every(SHORT);
    loop {
        interval.tick().await;
        if shard.parts.borrow().settlement.ledger().has_refused() {
            shard.with(|parts| parts.settlement.on_short_tick());
        }
    }
}

pub fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Whether a script does not end, though its time is over.
fn look_at_scripts(shard: &Rc<Shard>) {
    let warning = shard.executor.warning();
    let overlong = shard.executor.turn().filter(|(_, lasted)| *lasted >= STUCK);
    shard.with_unnoted(|parts| {
        if let Some(warning) = warning {
            parts.node_event(EventKind::Node, &warning);
        }
        let was_stuck = parts.steps.set_stuck(overlong.is_some());
        if let Some((customer, lasted)) = overlong.filter(|_| !was_stuck) {
            let seconds = lasted.as_secs();
            let reason = format!("a script of {customer} runs for {seconds} s, in a built-in that cannot be stopped");
            parts.node_event(EventKind::Node, &Fault::new(Code::ScriptUnavailable, reason));
        }
    });
}
