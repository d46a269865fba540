//! The bytes' way to the server: as they are, or in TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::Socket;

/// A socket that is read ahead: TLS asks for 4 KiB at a time, which would be a system call each.
pub type Secured = TlsStream<BufReader<Socket>>;

pub enum Stream {
    Plain(Socket),
    Tls(Box<Secured>),
}

impl Stream {
    /// What the operating system has not sent is dropped with the socket.
    pub fn discard(&self) {
        let socket = match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.get_ref().0.get_ref(),
        };
        if let Socket::Tcp(tcp) = socket {
            // Where it cannot be had, the socket ends as usual.
            let _ = tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, room),
            Stream::Tls(tls) => poll_records(tls, context, room),
        }
    }
}

/// As many records as there are and `room` holds: a read of TLS brings one, and a turn wants a batch.
fn poll_records(tls: &mut Secured, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    let before = room.filled().len();
    loop {
        let held = room.filled().len();
        let result = match Pin::new(&mut *tls).poll_read(context, room) {
            // Frames have lengths of their own, and a message counts when it is acked: a connection
            // that ends without the goodbye of TLS hides nothing.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            result => result,
        };
        if room.filled().len() > held && room.remaining() > 0 {
            continue;
        }
        // An end or an error comes again with the next read, after what this one brought.
        return if room.filled().len() > before { Poll::Ready(Ok(())) } else { result };
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    /// TLS takes bytes that the socket has not; they are sent when this is ready.
    #[inline]
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}
