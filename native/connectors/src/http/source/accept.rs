//! The accept loop: takes connections until the source closes, keeps the cap, beats the time.

use std::io::Write;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::connection::{Phase, serve};
use super::inbox::TICKS;
use super::{Shared, answer};

/// After a failed accept: out of descriptors, mostly, which only time mends.
const PAUSE: Duration = Duration::from_millis(50);
const SHORTEST_TICK: Duration = Duration::from_millis(1);

pub(super) async fn accept(shared: Rc<Shared>, listener: TcpListener) {
    let mut phase = shared.phase.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => begin(&shared, stream, peer),
                Err(_) => sleep(PAUSE).await,
            },
        }
    }
}

fn begin(shared: &Rc<Shared>, stream: TcpStream, peer: SocketAddr) {
    match shared.door.enter(peer.ip().to_canonical(), shared.options.max_connections) {
        Some(open) => {
            // Answers are small and complete: nothing is gained by holding them back.
            let _ = stream.set_nodelay(true);
            tokio::task::spawn_local(serve(Rc::clone(shared), open, stream, peer));
        }
        None => turn_away(stream),
    }
}

/// One write that does not wait, and the end: a connection too many must not cost more.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&answer::overloaded());
    }
}

/// Lets the inbox count time, until the last connection has been answered.
pub(super) async fn beat(shared: Rc<Shared>) {
    let mut ticks = interval((shared.options.settle_timeout / TICKS).max(SHORTEST_TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut phase = shared.phase.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Aborting) => return,
            _ = ticks.tick() => shared.inbox.tick(),
        }
        if *phase.borrow() == Phase::Draining && shared.door.open() == 0 {
            return;
        }
    }
}
