//! One connection, from accept to close: who waits how long for whom.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::activity::{Activity, Awaits, Socket, Watch};
use super::door::Open;
use super::{Shared, SourceOptions, request};

/// The smallest read buffer that the HTTP layer allows.
const LEAST_BUFFER: usize = 8 << 10;
/// How long, and how much of, a body that nobody reads is still taken off the wire, so that its
/// sender gets to see the answer instead of a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// How long a connection is kept in a drain on which nothing has come yet: its request may be on the wire, and whoever
/// sent it has been accepted.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Each connection ends after the request it is in.
    Draining,
    /// Each connection ends now.
    Aborting,
}

pub(super) async fn serve(shared: Rc<Shared>, open: Open, stream: TcpStream, peer: SocketAddr) {
    if !converse(&shared, &open.activity, stream, peer).await {
        return;
    }
    if let Some(stream) = open.activity.lingering() {
        tokio::select! {
            () = open.activity.evicted() => {}
            () = linger(stream) => {}
        }
    }
    drop(open);
}

/// Serves the connection's requests; `false` when it was cut off.
async fn converse(shared: &Rc<Shared>, activity: &Rc<Activity>, stream: TcpStream, peer: SocketAddr) -> bool {
    let socket = TokioIo::new(Socket::new(stream, activity));
    let service = service_fn(|request| {
        let (shared, activity) = (Rc::clone(shared), Rc::clone(activity));
        async move { Ok::<_, Infallible>(request::handle(&shared, &activity, peer, request).await) }
    });
    let mut connection = pin!(protocol(&shared.options).serve_connection(socket, service));
    let mut phase = shared.phase.subscribe();
    let mut watch = Watch::new(&shared.options);
    let mut timer = pin!(sleep(watch.every));
    let mut ends = None;
    loop {
        let mut until = None;
        if *phase.borrow_and_update() == Phase::Draining {
            let end = *ends.get_or_insert_with(|| Instant::now() + FIRST_REQUEST);
            until = Some(end).filter(|end| activity.is_untouched() && Instant::now() < *end);
            if until.is_none() {
                connection.as_mut().graceful_shutdown();
            }
        }
        tokio::select! {
            biased;
            _ = connection.as_mut() => return true,
            () = activity.evicted() => return false,
            changed = phase.changed() => if changed.is_err() || *phase.borrow() == Phase::Aborting {
                return false;
            },
            // A request that comes before is answered with `Connection: close`.
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
            () = timer.as_mut() => {
                if watch.is_over(activity, &shared.options) {
                    if !matches!(activity.awaits(), Awaits::Body | Awaits::Refused) {
                        return false;
                    }
                    activity.give_up();
                }
                timer.as_mut().reset(Instant::now() + watch.every);
            }
        }
    }
}

fn protocol(options: &SourceOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The headers' time is counted here; see `Activity`.
    builder.header_read_timeout(None);
    builder.max_header_size(options.max_header_bytes);
    // A sender may say that it sends no more, and still wait for its answer.
    builder.half_close(true);
    builder.max_buf_size((options.max_header_bytes * 2).max(LEAST_BUFFER));
    builder
}

/// Half-closed by now: reads and forgets what the peer still sends.
async fn linger(mut stream: TcpStream) {
    let mut scratch = vec![0; 64 << 10];
    let drain = async {
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = stream.read(&mut scratch).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(LINGER, drain).await;
}
