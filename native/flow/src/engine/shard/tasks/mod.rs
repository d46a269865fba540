//! Every task that a shard spawns: those that live as long as it does, and those that effects ask for.
//!
//! ```text
//! always:     ingress · scripts · large · clock · lanes (backlogs, set-aside messages)
//! on demand:  sources (one each) · deliver (a sink's worker) · connect · parking · backpressure · streams · keys
//! ```

mod backpressure;
mod clock;
mod connect;
mod consumers;
mod deliver;
mod ingress;
mod keys;
mod lanes;
mod large;
mod parking;
mod scripts;
mod sources;
mod streams;

use std::rc::Rc;

use nats::Outbox;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_local};

use super::{Parts, Shard};
use crate::engine::consumers::Consumers;
use crate::engine::delivery::{Delivery, Effect, Host};
use crate::engine::ingress::KeyAction;
use crate::engine::settlement::Settlement;

/// Tasks at the same time, so that a node with thousands of outs starts without a flood.
pub struct Turns {
    connect: Rc<Semaphore>,
    poll: Rc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Turns {
        let turns = |count| Rc::new(Semaphore::new(count));
        Turns { connect: turns(connect::MAX_CONNECTING), poll: turns(parking::MAX_POLLING) }
    }
}

impl Host for Rc<Shard> {
    fn with<T>(&self, work: impl FnOnce(&mut Delivery, &mut Settlement, &mut Consumers) -> T) -> T {
        Shard::with(self, |parts| work(&mut parts.delivery, &mut parts.settlement, &mut parts.consumers))
    }

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

pub use sources::{close as close_source, ended as source_ended};

/// Those that live as long as the shard.
pub fn spawn_all(shard: &Rc<Shard>, tasks: &mut JoinSet<()>) {
    let source = shard.parts.borrow().ingress.source().cloned();
    if let Some(source) = source {
        tasks.spawn_local(ingress::read(Rc::clone(shard), source));
    }
    tasks.spawn_local(scripts::collect(Rc::clone(shard)));
    tasks.spawn_local(large::collect(Rc::clone(shard)));
    tasks.spawn_local(clock::tick(Rc::clone(shard)));
    tasks.spawn_local(clock::short_tick(Rc::clone(shard)));
    tasks.spawn_local(lanes::look(Rc::clone(shard)));
    tasks.spawn_local(parking::look_again(Rc::clone(shard)));
}

/// Those that the last burst has asked for.
pub fn spawn_wanted(shard: &Rc<Shard>, parts: &mut Parts) {
    for revision in std::mem::take(&mut parts.throttled) {
        spawn_local(backpressure::watch(Rc::clone(shard), revision));
    }
    for KeyAction::Read { item, subject } in std::mem::take(&mut parts.keys) {
        spawn_local(keys::read(Rc::clone(shard), item, subject));
    }
    for number in parts.consumers.take_lost() {
        spawn_local(consumers::repair(Rc::clone(shard), number));
    }
    for effect in parts.ingress.own.take_effects() {
        sources::spawn(shard, effect);
    }
    spawn_for_sinks(shard, parts);
    for revision in std::mem::take(&mut parts.unlearnt) {
        spawn_local(streams::learn(Rc::clone(shard), revision, Rc::clone(&parts.turns.poll)));
    }
}

/// What the queues of outs have asked for.
fn spawn_for_sinks(shard: &Rc<Shard>, parts: &mut Parts) {
    let mut effects = std::mem::take(&mut parts.deliveries);
    parts.delivery.take_effects(&mut effects);
    for effect in effects.drain(..) {
        match effect {
            Effect::StartWorkers { queue, count, outlet } => {
                for _ in 0..count {
                    spawn_local(deliver::deliver(Rc::clone(shard), queue, Rc::clone(&outlet)));
                }
            }
            Effect::Supervise { queue, outlet } => {
                spawn_local(parking::supervise(Rc::clone(shard), queue, outlet, Rc::clone(&parts.turns.poll)));
            }
            Effect::PollNew => {
                spawn_local(parking::poll_new(Rc::clone(shard)));
            }
            Effect::Connect { queue, outlet, reports } => {
                let turns = Rc::clone(&parts.turns.connect);
                spawn_local(connect::connect(Rc::clone(shard), queue, outlet, reports, turns));
            }
            Effect::Close { queue, outlet } => {
                spawn_local(connect::close(Rc::clone(shard), queue, outlet));
            }
            Effect::FindUrl { revision, target, input, message } => {
                parts.find_url((&revision, target), input, message);
            }
            Effect::TopUp => parts.top_up(),
        }
    }
    parts.deliveries = effects;
}
