//! Resource limits. The kernel holds them; soft and hard limit are the same, so that none can be raised.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::launch::WorkerLimits;

/// Stack of the one thread, which runs the script engine: what scripts may use at most, and room for the engine.
const STACK: u64 = 32 << 20;

/// What no worker needs at all. The descriptors that are open stay so.
const NOTHING: [Resource; 7] = [
    Resource::Core,
    Resource::Fsize,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Nofile,
    Resource::Nproc,
    Resource::Sigpending,
];

/// `zygote_bytes`: address space that was in use at the fork.
pub(super) fn set(limits: &WorkerLimits, zygote_bytes: u64) -> io::Result<()> {
    let stack = getrlimit(Resource::Stack).maximum.map_or(STACK, |maximum| maximum.min(STACK));
    limit(Resource::Stack, stack)?;
    limit(Resource::As, zygote_bytes.saturating_add(stack).saturating_add(limits.memory_bytes))?;
    if let Some(cpu) = limits.cpu {
        let seconds = cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
        // With 0 the kernel would take 1.
        limit(Resource::Cpu, seconds.max(1))?;
    }
    NOTHING.into_iter().try_for_each(|resource| limit(resource, 0))
}

/// A hard limit that is lower already stays.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    Ok(())
}
