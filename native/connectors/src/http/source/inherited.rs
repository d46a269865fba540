#![allow(unsafe_code)] // One borrowed descriptor, for a reason that stands beside it.
//! Listening sockets that another process has made: an earlier run that hands them over, or a supervisor by `LISTEN_FDS`
//! (systemd's `sd_listen_fds(3)`). Connections that come while nobody accepts wait in them, and are not refused.

use std::net::TcpListener;
use std::os::fd::{BorrowedFd, RawFd};

use message::{Code, Fault};
use socket2::{Socket, Type};

/// Copies of sockets that this process holds open under these descriptors, so that they may be closed afterwards.
/// `config/cannot-listen` for one that does not listen for TCP connections.
pub fn inherited(descriptors: &[RawFd]) -> Result<Vec<TcpListener>, Fault> {
    descriptors.iter().map(|descriptor| one(*descriptor)).collect()
}

fn one(descriptor: RawFd) -> Result<TcpListener, Fault> {
    let unusable = |why: &str| {
        let reason = format!("the inherited descriptor {descriptor} {why}");
        Fault::new(Code::ConfigCannotListen, reason)
    };
    if descriptor < 0 {
        return Err(unusable("is none"));
    }
    // SAFETY: it is not -1, and is borrowed for this call alone, which fails for a descriptor that is not open. Whoever
    // closed it meanwhile in another thread would make this a copy of something else; what is no listener is refused.
    let held = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let copy = held.try_clone_to_owned().map_err(|error| unusable(&format!("cannot be used: {error}")))?;
    let socket = Socket::from(copy);
    let is_listener = matches!(socket.r#type(), Ok(Type::STREAM)) && socket.is_listener().unwrap_or(false);
    let is_tcp = socket.local_addr().is_ok_and(|address| address.as_socket().is_some());
    if !is_listener || !is_tcp {
        return Err(unusable("does not listen for TCP connections"));
    }
    Ok(socket.into())
}

/// Each of `shards` (at least one) gets some of `listeners`, and every listener has somebody who accepts: connections
/// that wait in one would hang otherwise. Shards beyond them share one with another shard.
pub fn spread(listeners: Vec<TcpListener>, shards: usize) -> Result<Vec<Vec<TcpListener>>, Fault> {
    let mut spread: Vec<Vec<TcpListener>> = (0..shards).map(|_| Vec::new()).collect();
    let count = listeners.len();
    for (number, listener) in listeners.into_iter().enumerate() {
        spread[number % shards].push(listener);
    }
    for number in count..shards {
        let Some(listener) = spread.get(number % count.max(1)).and_then(|some| some.first()) else { break };
        let copy = listener
            .try_clone()
            .map_err(|error| Fault::new(Code::ConfigCannotListen, format!("a listener cannot be shared: {error}")))?;
        spread[number].push(copy);
    }
    Ok(spread)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn a_copy_listens_where_the_socket_did_after_that_is_closed() {
        let first = listener();
        let address = first.local_addr().unwrap();
        let copies = inherited(&[first.as_raw_fd()]).unwrap();
        drop(first);
        assert_eq!(copies[0].local_addr().unwrap(), address);
        std::net::TcpStream::connect(address).unwrap();
    }

    #[test]
    fn what_does_not_listen_for_tcp_is_refused() {
        let (datagrams, file) = (UdpSocket::bind("127.0.0.1:0").unwrap(), std::fs::File::open("/dev/null").unwrap());
        let listens = listener();
        let connected = std::net::TcpStream::connect(listens.local_addr().unwrap()).unwrap();
        let path = std::env::temp_dir().join(format!("vrsky-inherited-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let others = [datagrams.as_raw_fd(), file.as_raw_fd(), connected.as_raw_fd(), unix.as_raw_fd(), -1, 999_999];
        for descriptor in others {
            assert_eq!(inherited(&[descriptor]).unwrap_err().code(), Code::ConfigCannotListen, "{descriptor}");
        }
    }

    #[test]
    fn every_shard_and_every_listener_has_its_share() {
        for (listeners, shards, wanted) in
            [(1, 1, vec![1]), (1, 3, vec![1, 1, 1]), (3, 2, vec![2, 1]), (2, 2, vec![1, 1])]
        {
            let spread = spread((0..listeners).map(|_| listener()).collect(), shards).unwrap();
            assert_eq!(spread.iter().map(Vec::len).collect::<Vec<_>>(), wanted);
        }
        assert_eq!(spread(Vec::new(), 2).unwrap().iter().map(Vec::len).sum::<usize>(), 0);
    }
}
