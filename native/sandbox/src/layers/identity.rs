//! No capability, and a user id of the worker's own.

use std::io;

use rustix::fs::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// User ids that workers may have, as the zygote sees them. Groups have the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uids {
    pub first: u32,
    pub count: u32,
}

/// Drops every capability, and the right to get one back by executing a file. The uid may still be changed: that
/// needs two, which go with the change or by [`drop_all`].
pub(super) fn drop_bounding_set() -> io::Result<()> {
    if !capabilities(None)?.effective.contains(CapabilitySet::SETPCAP) {
        // The set stays, and is of no use: it bounds what `execve` may add, and no-new-privs lets it add nothing.
        return Ok(());
    }
    for number in 0..=63 {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The first number that this kernel does not have.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn drop_all() -> io::Result<()> {
    match clear_ambient_capability_set() {
        // Linux before 4.3 has no such set.
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// Becomes the user `uid`, in no group but one of the same number. Needs root's rights, at least in the zygote's
/// user namespace.
pub(super) fn become_user(uid: Option<u32>) -> io::Result<()> {
    let Some(number) = uid else { return Err(io::Error::from_raw_os_error(libc::EPERM)) };
    let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}
