//! Namespaces of the zygote, which all of its workers share.
//!
//! ```text
//! outer: started by the host; leaves the namespaces, forks once, waits
//!   └─ inner: process 1 of the pid namespace; the zygote that the host speaks to
//!        └─ workers
//! ```
//!
//! One set for all workers and not one for each: making a network namespace takes the kernel longer than all other
//! layers together. Workers are kept apart by their own user ids, Landlock domains and seccomp.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount};
use rustix::process::{
    DumpableBehavior, Pid, WaitOptions, getegid, geteuid, getpid, pivot_root, set_dumpable_behavior, waitpid,
};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_thread_res_gid, set_thread_res_uid};

use super::identity::Uids;
use super::system::{Side, exit_now, fork, unshare};
use super::{Layer, LayerSet, Report};

/// User ids from here to 2^31 belong to nobody: not to people, packages, containers or systemd.
const FIRST_FREE_UID: u32 = 1_900_000_000;
/// Where user ids end at 65,535, as in a container of a user: the range that systemd gives to services for a time.
const FIRST_SMALL_UID: u32 = 61_184;
const SMALL_UIDS: u32 = 65_520 - FIRST_SMALL_UID;
/// User ids of one zygote, and how many such ranges there are. Which one follows from the process id, so that two
/// nodes on one machine seldom share.
const UIDS: u32 = 32_768;
const RANGES: u32 = 4_096;

/// Leaves the namespaces of the machine, as far as they may be left, and says which. A pid namespace begins with
/// the next fork.
pub(crate) fn enter(layers: LayerSet, report: &mut Report) -> io::Result<Option<Uids>> {
    let free = free_uids();
    let mut uids = None;
    if layers.has(Layer::UserNamespace) {
        let entered = enter_user(free);
        if let Ok(mapped) = &entered {
            uids = *mapped;
        }
        report.set(Layer::UserNamespace, entered.map(drop));
    }
    let is_root = geteuid().is_root() && report.state(Layer::UserNamespace) != super::State::Applied;
    if is_root && may_kill_and_change_users() {
        uids = free;
    }
    for (layer, flag) in [
        (Layer::NetworkNamespace, UnshareFlags::NEWNET),
        (Layer::IpcNamespace, UnshareFlags::NEWIPC),
        (Layer::PidNamespace, UnshareFlags::NEWPID),
    ] {
        if layers.has(layer) {
            report.set(layer, unshare(flag));
        }
    }
    Ok(uids)
}

/// Root of a user namespace in which nobody of the machine exists, or, for an ordinary user, itself alone in one.
/// Returns the user ids that are to be had there.
fn enter_user(free: Option<Uids>) -> io::Result<Option<Uids>> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let own = getpid();
    let range = free.filter(|_| may_kill_and_change_users());
    let (mut hear, tell) = io::pipe()?;
    // The maps are written by a process that has stayed outside: only it may map more than its own user.
    let writer = match fork()? {
        Side::Parent(pid) => pid,
        Side::Child => {
            drop(tell);
            let left = hear.read(&mut [0]).is_ok_and(|bytes| bytes == 1);
            let code = if left {
                write_maps(own, range, uid, gid).map_or_else(|error| super::report::errno(&error), |()| 0)
            } else {
                libc::EPERM
            };
            exit_now(code);
        }
    };
    drop(hear);
    let left = unshare(UnshareFlags::NEWUSER).and_then(|()| {
        // Else `/proc/PID` of this process belongs to root, and an ordinary user writes no map.
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        (&tell).write_all(&[1])
    });
    drop(tell);
    let wrote = wait(writer)?;
    left?;
    if wrote != Some(0) {
        return Err(io::Error::from_raw_os_error(wrote.unwrap_or(libc::ECHILD)));
    }
    if range.is_some() {
        let (root, group) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(root, root, root)?;
    }
    Ok(range.map(|range| Uids { first: 1, count: range.count - 1 }))
}

fn write_maps(process: Pid, range: Option<Uids>, uid: u32, gid: u32) -> io::Result<()> {
    let folder = format!("/proc/{}", process.as_raw_nonzero());
    let write = |name: &str, text: String| {
        OpenOptions::new().write(true).open(format!("{folder}/{name}"))?.write_all(text.as_bytes())
    };
    match range {
        Some(Uids { first, count }) => {
            write("uid_map", format!("0 {first} {count}"))?;
            write("gid_map", format!("0 {first} {count}"))
        }
        None => {
            write("setgroups", "deny".into())?;
            write("uid_map", format!("{uid} {uid} 1"))?;
            write("gid_map", format!("{gid} {gid} 1"))
        }
    }
}

/// A range of user ids that this user namespace has.
fn free_uids() -> Option<Uids> {
    let maps = (fs::read_to_string("/proc/self/uid_map").ok()?, fs::read_to_string("/proc/self/gid_map").ok()?);
    let range = getpid().as_raw_nonzero().get().unsigned_abs() % RANGES;
    let candidates = [
        Uids { first: FIRST_FREE_UID + range * UIDS, count: UIDS },
        Uids { first: FIRST_SMALL_UID, count: SMALL_UIDS },
    ];
    candidates.into_iter().find(|uids| has(&maps.0, *uids) && has(&maps.1, *uids))
}

/// Whether one line of a map covers all of these. A line: first id inside, first id outside, how many.
fn has(map: &str, uids: Uids) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return false;
        };
        first <= u64::from(uids.first) && u64::from(uids.first) + u64::from(uids.count) <= first + count
    })
}

/// A worker under another user id has to be killed in the end, by the host, which has the same rights.
fn may_kill_and_change_users() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// An empty, read-only root folder. Nothing of the file system is left to the process and its children but what
/// they have open.
pub(crate) fn empty_root() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let place = ["/tmp", "/run", "/proc"].into_iter().map(Path::new).find(|path| path.is_dir());
    let place = place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let safe = MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSUID;
    mount("none", place, "tmpfs", safe, Some(c"size=4k,nr_inodes=2,mode=0"))?;
    rustix::process::chdir(place)?;
    // The old root is mounted over the new one, and taken off.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    mount_remount("/", safe | MountFlags::RDONLY, c"")?;
    Ok(())
}

/// The exit code of a child; none when a signal ended it.
pub(crate) fn wait(child: u32) -> io::Result<Option<i32>> {
    let pid = Pid::from_raw(child.cast_signed());
    loop {
        match waitpid(pid, WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(status.exit_status()),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The zygote's address space, as `/proc` has it, also after the root folder has become empty.
pub(crate) struct AddressSpace(File);

impl AddressSpace {
    pub(crate) fn open() -> io::Result<AddressSpace> {
        File::open("/proc/self/statm").map(AddressSpace)
    }

    /// In bytes, now.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let mut text = [0; 64];
        let length = rustix::io::pread(&self.0, &mut text, 0)?;
        let pages =
            std::str::from_utf8(&text[..length]).ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no number"))?;
        Ok(pages * rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_taken_only_where_the_whole_of_it_is_mapped() {
        let machine = "         0          0 4294967295\n";
        let container = "0 100000 65536\n";
        let (high, low) =
            (Uids { first: FIRST_FREE_UID, count: UIDS }, Uids { first: FIRST_SMALL_UID, count: SMALL_UIDS });
        assert!(has(machine, high) && has(machine, low));
        assert!(!has(container, high) && has(container, low));
        assert!(!has("0 1000 1\n1 100000 61185\n", low));
        assert!(!has("", low) && !has("nonsense", low));
    }
}
