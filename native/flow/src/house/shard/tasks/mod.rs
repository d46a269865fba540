//! Every task that a shard spawns: those that live as long as it does, and those that effects ask for.
//!
//! ```text
//! always:     ingress · scripts · large · clock · lanes (backlogs, set-aside messages)
//! on demand:  deliver (a sink's worker) · connect · parking · backpressure · streams · keys
//! ```

mod backpressure;
mod clock;
mod connect;
mod deliver;
mod ingress;
mod keys;
mod lanes;
mod large;
mod parking;
mod scripts;
mod streams;

use std::rc::Rc;

use tokio::task::{JoinSet, spawn_local};

use super::{Parts, Shard};
use crate::house::ingress::KeyAction;

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
    for revision in std::mem::take(&mut parts.unlearnt) {
        spawn_local(streams::learn(Rc::clone(shard), revision));
    }
}
