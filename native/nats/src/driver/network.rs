//! Where connections get their sockets and their random numbers from.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Server;

pub type Dialled<'a> = Pin<Box<dyn Future<Output = io::Result<Socket>> + 'a>>;

/// What a connection takes from outside beside the time, which is tokio's.
pub trait Network {
    /// Opens a socket to a server.
    fn dial<'a>(&'a self, server: &'a Server) -> Dialled<'a>;

    /// 64 bits that nobody can guess.
    fn random(&self) -> u64;
}

/// The operating system's TCP and random numbers.
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn dial<'a>(&'a self, server: &'a Server) -> Dialled<'a> {
        Box::pin(async {
            let tcp = TcpStream::connect((server.host.as_str(), server.port)).await?;
            tcp.set_nodelay(true)?;
            Ok(Socket::Tcp(tcp))
        })
    }

    fn random(&self) -> u64 {
        // Its keys come from the operating system.
        RandomState::new().build_hasher().finish() ^ fastrand::u64(..)
    }
}

/// A stream of bytes that is no TCP socket.
pub trait Transport: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Transport for T {}

/// A stream of bytes to a server, below TLS.
pub enum Socket {
    Tcp(TcpStream),
    Other(Pin<Box<dyn Transport>>),
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(context, room),
            Socket::Other(other) => other.as_mut().poll_read(context, room),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Socket::Other(other) => other.as_mut().poll_write(context, bytes),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Socket::Other(other) => other.as_mut().poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Socket::Other(other) => other.as_mut().poll_shutdown(context),
        }
    }
}
