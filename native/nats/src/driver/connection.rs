//! A connection that comes back by itself, and leaves a server that is about to shut down.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::{Instant, sleep, timeout_at};

use super::handshake::{self, Accepted};
use super::link::Link;
use super::pool::{Candidate, Pool};
use super::{Handler, Network, Options, Outbox, SystemNetwork, backoff};
use crate::protocol::ServerInfo;

/// How long a server that is left may take to say that it has everything.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// One connection to a NATS server, or a cluster. Its owner calls [`Connection::turn`] in a loop; other tasks of the
/// thread send through the [`Outbox`].
pub struct Connection {
    options: Rc<Options>,
    network: Rc<dyn Network>,
    outbox: Outbox,
    info: ServerInfo,
    pool: Pool,
    /// How many connections there were after the first.
    reconnects: u64,
    state: State,
}

enum State {
    Up(Up),
    Down(Try),
}

struct Up {
    link: Box<Link>,
    /// The handler knows.
    announced: bool,
    /// Of the try that succeeded.
    count: Count,
    since: Instant,
    leaving: Leaving,
}

/// The way from a server that is about to shut down to another one. The connection is used until there is another.
enum Leaving {
    No,
    Trying(Try),
    /// The other one is there. The old one still has to answer the ping with this number.
    Last {
        next: Box<(Candidate, Accepted)>,
        ping: u64,
        until: Instant,
    },
}

/// How often it was tried, since the last connection that lasted.
#[derive(Clone, Copy, Default)]
struct Count {
    tries: u32,
    /// Over all servers. The first goes over the other servers of a lost one, without a pause, and is number 0.
    rounds: u32,
}

/// Kept across turns, so that a turn that is dropped does not start it anew.
struct Try {
    count: Count,
    candidate: Candidate,
    result: Pin<Box<dyn Future<Output = Result<Accepted, Fault>>>>,
}

impl Connection {
    /// Connects to the first server that accepts, within `options.connect_timeout` for all of them.
    /// The handler hears of it in the first turn.
    ///
    /// # Errors
    /// `nats/connect`, `nats/authorization`, `nats/protocol`, `nats/tls-...`: what the last server tried
    /// gave. `config/invalid-value` when a file of `options.tls` cannot be used.
    pub async fn connect(options: Options) -> Result<Connection, Fault> {
        Connection::connect_over(Rc::new(SystemNetwork), options).await
    }

    /// As [`Connection::connect`], over another network.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_over(network: Rc<dyn Network>, options: Options) -> Result<Connection, Fault> {
        let deadline = Instant::now() + options.connect_timeout;
        let mut last = Fault::new(Code::NatsConnect, "no server to connect to");
        for (server, parts) in options.servers.iter().zip((1..=options.servers.len()).rev()) {
            let left = deadline.saturating_duration_since(Instant::now());
            let part = left / u32::try_from(parts).unwrap_or(u32::MAX);
            let candidate = Candidate::named(server);
            match handshake::connect(&*network, &candidate, &options, part).await {
                Ok(accepted) => return Ok(Connection::new(network, options, candidate, accepted)),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn new(network: Rc<dyn Network>, options: Options, candidate: Candidate, accepted: Accepted) -> Connection {
        let outbox = Outbox::new([network.random(), network.random()], options.api.clone());
        let info = accepted.info.clone();
        let pool = Pool::new(&options.servers, candidate);
        let state = State::Up(up(accepted, Count::default(), &options, &outbox));
        Connection { options: Rc::new(options), network, outbox, info, pool, reconnects: 0, state }
    }

    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// What the server said of itself, last.
    #[must_use]
    pub fn info(&self) -> &ServerInfo {
        match &self.state {
            State::Up(up) => &up.link.info,
            State::Down(_) => &self.info,
        }
    }

    /// Headers and payload of one message together, bytes. A larger publish costs the connection:
    /// check before.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.info().max_payload
    }

    /// One round: waits until there is something to do; reads once; hands over every complete message,
    /// until the handler yields; then writes, in one go, what the handler and the outbox have. Comes
    /// back when everything is written, so a server that does not read holds it up.
    ///
    /// Without a connection: one try to get it back, after its pause.
    ///
    /// May be dropped at any time and called again; nothing is lost by it.
    ///
    /// # Errors
    /// Only when `max_reconnects` tries in a row failed; with the last one's fault. Calling it again
    /// goes on trying.
    pub async fn turn<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<(), Fault> {
        let State::Up(up) = &mut self.state else { return self.try_once(handler).await };
        if !std::mem::replace(&mut up.announced, true) {
            handler.on_connected(&up.link.info, &mut up.link.write);
        }
        if self.outbox.take_suspicion() {
            up.link.probe();
        }
        let lost = match &mut up.leaving {
            Leaving::No => up.link.turn(handler, &self.outbox).await.err(),
            Leaving::Trying(next) => tokio::select! {
                biased;
                turned = up.link.turn(handler, &self.outbox) => turned.err(),
                result = next.result.as_mut() => {
                    self.on_tried_other(result);
                    return Ok(());
                }
            },
            Leaving::Last { until, .. } => {
                let until = *until;
                timeout_at(until, up.link.turn(handler, &self.outbox)).await.ok().and_then(Result::err)
            }
        };
        // Also of a server that is gone: it may have told of others last.
        self.take_over_info();
        match lost {
            Some(fault) => self.lose(&fault, handler),
            None => self.leave_when_answered(handler),
        }
        Ok(())
    }

    /// Writes what is left and waits until the server has seen all of it (a PING came back). Messages
    /// that come meanwhile go to the handler.
    ///
    /// # Errors
    /// `nats/disconnected` when there is no connection, or it broke.
    pub async fn flush<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<(), Fault> {
        let (mut wanted, reconnects) = (None, self.reconnects);
        loop {
            let link = match &mut self.state {
                // Another server's PONG says nothing of what this one has.
                State::Up(up) if self.reconnects == reconnects => &mut up.link,
                _ => {
                    let reason = "the connection broke before everything was sent";
                    return Err(Fault::new(Code::NatsDisconnected, reason));
                }
            };
            let wanted = *wanted.get_or_insert_with(|| {
                self.outbox.take_into(&mut link.write);
                link.ping();
                link.pings_sent
            });
            if link.pongs >= wanted {
                return Ok(());
            }
            self.turn(handler).await?;
        }
    }

    /// What the server says of itself and its cluster, when it is news.
    fn take_over_info(&mut self) {
        let State::Up(up) = &mut self.state else { return };
        if !std::mem::take(&mut up.link.informed) {
            return;
        }
        if self.options.discover {
            self.pool.learn(&up.link.info.connect_urls, up.link.proven, || self.network.random());
        }
        up.link.has_others = self.pool.has_others();
        if up.link.info.ldm && matches!(up.leaving, Leaving::No) && self.pool.has_others() {
            let count = self.begin_round();
            let next = self.next_try(count);
            if let State::Up(up) = &mut self.state {
                up.leaving = Leaving::Trying(next);
            }
        }
    }

    /// A try at another server, while this one is still connected, is over.
    fn on_tried_other(&mut self, result: Result<Accepted, Fault>) {
        let State::Up(up) = &mut self.state else { return };
        let Leaving::Trying(tried) = std::mem::replace(&mut up.leaving, Leaving::No) else { return };
        match result {
            Ok(accepted) => {
                self.outbox.take_into(&mut up.link.write);
                up.link.ping();
                let (ping, until) = (up.link.pings_sent, Instant::now() + LEAVE_TIMEOUT);
                up.count = tried.count;
                up.leaving = Leaving::Last { next: Box::new((tried.candidate, accepted)), ping, until };
            }
            Err(_) => {
                self.pool.on_failed(&tried.candidate);
                // Where it was the last of the others, this server is one of the next round: it ends anyway.
                let next = self.next_try(tried.count);
                if let State::Up(up) = &mut self.state {
                    up.leaving = Leaving::Trying(next);
                }
            }
        }
    }

    /// The server has everything that was sent before the other one was there, or takes too long.
    fn leave_when_answered<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        let State::Up(up) = &self.state else { return };
        let Leaving::Last { next, ping, until } = &up.leaving else { return };
        if up.link.pongs >= *ping || Instant::now() >= *until {
            let reason = format!("the server is about to shut down; {} takes its place", next.0.server);
            self.lose(&Fault::new(Code::NatsDisconnected, reason), handler);
        }
    }

    fn lose<H: Handler + ?Sized>(&mut self, fault: &Fault, handler: &mut H) {
        let count = self.begin_round();
        let mut leaving = Leaving::No;
        if let State::Up(up) = &mut self.state {
            self.info = up.link.info.clone();
            self.outbox.set_in_write(up.link.unsent());
            leaving = std::mem::replace(&mut up.leaving, Leaving::No);
        }
        let dropped = self.outbox.disconnect();
        handler.on_disconnected(fault, dropped);
        match leaving {
            Leaving::No => self.state = State::Down(self.next_try(count)),
            Leaving::Trying(next) => self.state = State::Down(next),
            Leaving::Last { next, .. } => {
                let (candidate, accepted) = *next;
                self.connected_to(candidate, accepted, count);
            }
        }
    }

    /// The round after a connection: over the other servers at once, if it lasted.
    fn begin_round(&mut self) -> Count {
        match &self.state {
            // A server that accepts and hangs up at once is no reason to hurry.
            State::Up(up) if up.since.elapsed() < self.options.reconnect_max => {
                self.pool.end_round();
                up.count
            }
            _ => {
                self.pool.begin_with_others();
                Count::default()
            }
        }
    }

    fn next_try(&mut self, mut count: Count) -> Try {
        count.tries = count.tries.saturating_add(1);
        let mut pause = Duration::ZERO;
        let candidate = self.pool.next().unwrap_or_else(|| {
            count.rounds = count.rounds.saturating_add(1);
            let (min, max) = (self.options.reconnect_min, self.options.reconnect_max);
            pause = backoff::delay(count.rounds, min, max, self.network.random());
            self.pool.begin_with_all()
        });
        let (network, options, whom) = (Rc::clone(&self.network), Rc::clone(&self.options), candidate.clone());
        let result = Box::pin(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            handshake::connect(&*network, &whom, &options, options.connect_timeout).await
        });
        Try { count, candidate, result }
    }

    /// One try to get the connection back, after its pause.
    async fn try_once<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<(), Fault> {
        let State::Down(tried) = &mut self.state else { return Ok(()) };
        let result = tried.result.as_mut().await;
        let (count, candidate) = (tried.count, tried.candidate.clone());
        match result {
            Ok(accepted) => {
                self.connected_to(candidate, accepted, count);
                Ok(())
            }
            Err(fault) => {
                self.pool.on_failed(&candidate);
                handler.on_reconnect_failed(&fault, count.tries);
                self.state = State::Down(self.next_try(count));
                match self.options.max_reconnects {
                    Some(most) if count.tries >= most => Err(fault),
                    _ => Ok(()),
                }
            }
        }
    }

    fn connected_to(&mut self, candidate: Candidate, accepted: Accepted, count: Count) {
        self.reconnects += 1;
        self.pool.on_connected(candidate);
        self.state = State::Up(up(accepted, count, &self.options, &self.outbox));
    }
}

fn up(accepted: Accepted, count: Count, options: &Options, outbox: &Outbox) -> Up {
    let link = Box::new(Link::new(accepted, options));
    outbox.set_max_payload(link.info.max_payload);
    outbox.set_connected();
    Up { link, announced: false, count, since: Instant::now(), leaving: Leaving::No }
}
