//! The messages between the host and the zygote, each one packet with at most one descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use crate::launch::WorkerLimits;
use crate::layers::{LayerSet, REPORT_BYTES, Report};

/// To the zygote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Comes with the shared memory.
    Launch { required: LayerSet, limits: WorkerLimits },
    /// A worker for each layer, which does nothing.
    Probe,
}

/// From the zygote, once, when it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// Of this crate. A package that was replaced on the disk under a running node brings a zygote of another version,
    /// whose workers would not understand the node.
    pub(super) version: [u8; VERSION_BYTES],
    /// Of the layers that all workers share.
    pub(super) report: Report,
}

const VERSION_BYTES: usize = 16;
pub(super) const READY_BYTES: usize = VERSION_BYTES + REPORT_BYTES;

/// The version of this crate, cut or filled with zeros.
pub(super) const VERSION: [u8; VERSION_BYTES] = {
    let text = env!("CARGO_PKG_VERSION").as_bytes();
    let mut version = [0; VERSION_BYTES];
    let mut index = 0;
    while index < text.len() && index < VERSION_BYTES {
        version[index] = text[index];
        index += 1;
    }
    version
};

/// From the zygote, for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// 0, or why there is no worker. With a worker comes its pidfd.
    pub(super) errno: i32,
    pub(super) report: Report,
}

pub(super) const REQUEST_BYTES: usize = 24;
pub(super) const REPLY_BYTES: usize = 4 + REPORT_BYTES;

impl Request {
    pub(super) fn to_bytes(self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        if let Request::Launch { required, limits } = self {
            bytes[0] = 1;
            bytes[4..8].copy_from_slice(&required.bits().to_le_bytes());
            bytes[8..16].copy_from_slice(&limits.memory_bytes.to_le_bytes());
            // 0: no limit. A limit of nothing is one nanosecond, which the kernel's limit rounds up as well.
            let cpu = limits.cpu.map_or(0, |cpu| u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX).max(1));
            bytes[16..24].copy_from_slice(&cpu.to_le_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; REQUEST_BYTES]) -> Request {
        let [kind, _, _, _, r0, r1, r2, r3, m0, m1, m2, m3, m4, m5, m6, m7, c0, c1, c2, c3, c4, c5, c6, c7] = *bytes;
        if kind == 0 {
            return Request::Probe;
        }
        let cpu = u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
        Request::Launch {
            required: LayerSet::from_bits(u32::from_le_bytes([r0, r1, r2, r3])),
            limits: WorkerLimits {
                memory_bytes: u64::from_le_bytes([m0, m1, m2, m3, m4, m5, m6, m7]),
                cpu: (cpu > 0).then(|| Duration::from_nanos(cpu)),
            },
        }
    }
}

impl Ready {
    pub(super) fn to_bytes(self) -> [u8; READY_BYTES] {
        let mut bytes = [0; READY_BYTES];
        bytes[..VERSION_BYTES].copy_from_slice(&self.version);
        bytes[VERSION_BYTES..].copy_from_slice(&self.report.to_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; READY_BYTES]) -> Ready {
        let mut version = [0; VERSION_BYTES];
        let mut report = [0; REPORT_BYTES];
        version.copy_from_slice(&bytes[..VERSION_BYTES]);
        report.copy_from_slice(&bytes[VERSION_BYTES..]);
        Ready { version, report: Report::from_bytes(&report) }
    }

    /// # Errors
    /// When it is another version than this one.
    pub(super) fn check(self) -> io::Result<Report> {
        if self.version == VERSION {
            return Ok(self.report);
        }
        let theirs = String::from_utf8_lossy(&self.version);
        let theirs = theirs.trim_end_matches('\0').escape_debug();
        Err(io::Error::other(format!(
            "the zygote is of version {theirs}, and this is {}: restart the node",
            env!("CARGO_PKG_VERSION")
        )))
    }
}

impl Reply {
    pub(super) fn to_bytes(self) -> [u8; REPLY_BYTES] {
        let mut bytes = [0; REPLY_BYTES];
        bytes[..4].copy_from_slice(&self.errno.to_le_bytes());
        bytes[4..].copy_from_slice(&self.report.to_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; REPLY_BYTES]) -> Reply {
        let [e0, e1, e2, e3, report @ ..] = bytes;
        Reply { errno: i32::from_le_bytes([*e0, *e1, *e2, *e3]), report: Report::from_bytes(report) }
    }
}

/// Sends one packet. An end that is closed is an error, and no signal.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: &[BorrowedFd<'_>] = descriptor.as_slice();
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Waits for one packet of exactly this length; none when the other end is closed.
///
/// # Errors
/// `InvalidData` for a packet of another length; `WouldBlock` after the socket's own time-out.
pub(super) fn receive<const N: usize>(socket: impl AsFd) -> io::Result<Option<([u8; N], Option<OwnedFd>)>> {
    let mut bytes = [0; N];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match received.bytes {
        0 => Ok(None),
        length if length == N => Ok(Some((bytes, descriptor))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Layer;

    #[test]
    fn requests_and_replies_read_as_they_were_written() {
        for cpu in [None, Some(Duration::from_millis(1500))] {
            let limits = WorkerLimits { memory_bytes: 64 << 20, cpu };
            let request = Request::Launch { required: LayerSet::REQUIRED, limits };
            assert_eq!(Request::from_bytes(&request.to_bytes()), request);
        }
        assert_eq!(Request::from_bytes(&Request::Probe.to_bytes()), Request::Probe);
        let mut report = Report::new();
        report.set(Layer::Landlock, Err(io::Error::from_raw_os_error(libc::ENOSYS)));
        let reply = Reply { errno: libc::EPERM, report };
        assert_eq!(Reply::from_bytes(&reply.to_bytes()), reply);
        let ready = Ready { version: VERSION, report };
        assert_eq!(Ready::from_bytes(&ready.to_bytes()).check().unwrap(), report);
    }

    #[test]
    fn a_zygote_of_another_version_is_refused() {
        let mut ready = Ready { version: VERSION, report: Report::new() };
        ready.version[..3].copy_from_slice(b"9.9");
        let error = ready.check().unwrap_err().to_string();
        assert!(error.contains("of version 9.9") && error.contains("restart the node"), "{error}");
    }
}
