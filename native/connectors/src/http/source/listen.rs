//! Listening sockets: one per shard on the same address, so that the kernel spreads the connections.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use message::{Code, Fault};
use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 1024;

/// One listener for each of `shards` (at least one), all on one address; port 0 picks a free
/// port. `config/cannot-listen` when the address is taken or cannot be used. Does not block.
pub fn listen(address: SocketAddr, shards: usize) -> Result<Vec<TcpListener>, Fault> {
    if shards <= 1 {
        return Ok(vec![socket(address, false)?]);
    }
    // With SO_REUSEPORT a second process of the same user could join the address unnoticed and
    // take half of the requests: see first whether it is free.
    let address = if address.port() == 0 { address } else { local(&socket(address, false)?)? };
    let first = socket(address, true)?;
    let address = local(&first)?;
    let mut listeners = vec![first];
    for _ in 1..shards {
        listeners.push(socket(address, true)?);
    }
    Ok(listeners)
}

fn socket(address: SocketAddr, shared: bool) -> Result<TcpListener, Fault> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted server may bind while connections of the last one are in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error| unusable(address, &error))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Fault> {
    listener.local_addr().map_err(|error| Fault::new(Code::ConfigCannotListen, format!("cannot listen: {error}")))
}

fn unusable(address: SocketAddr, error: &std::io::Error) -> Fault {
    let reason = match error.kind() {
        ErrorKind::AddrInUse => format!("another program listens on {address}"),
        _ => format!("cannot listen on {address}: {error}"),
    };
    Fault::new(Code::ConfigCannotListen, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn shards_share_one_port() {
        let listeners = listen(loopback(), 3).unwrap();
        let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert!(ports.len() == 3 && ports[0] != 0 && ports.iter().all(|p| *p == ports[0]));
    }

    #[test]
    fn a_taken_address_is_refused_even_when_the_port_could_be_shared() {
        for shards in [1, 2] {
            let held = listen(loopback(), shards).unwrap();
            let address = held[0].local_addr().unwrap();
            for again in [1, 2] {
                assert_eq!(listen(address, again).unwrap_err().code(), Code::ConfigCannotListen);
            }
        }
    }
}
