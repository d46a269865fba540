//! A connection that comes back by itself.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use message::{Code, Fault};
use tokio::time::{Instant, sleep};

use super::handshake::{self, Accepted};
use super::link::Link;
use super::{Handler, Network, Options, Outbox, SystemNetwork, backoff};
use crate::protocol::ServerInfo;

/// One connection to a NATS server. Its owner calls [`Connection::turn`] in a loop; other tasks of the
/// thread send through the [`Outbox`].
pub struct Connection {
    options: Rc<Options>,
    network: Rc<dyn Network>,
    outbox: Outbox,
    info: ServerInfo,
    state: State,
}

enum State {
    /// `announced`: the handler knows. `attempt`: the try that succeeded, 0 for the first connect.
    Up { link: Box<Link>, announced: bool, attempt: u32, since: Instant },
    /// Kept across turns, so that a turn that is dropped does not start the try anew.
    Down { attempt: u32, next: Pin<Box<dyn Future<Output = Result<Accepted, Fault>>>> },
}

impl State {
    fn up(accepted: Accepted, attempt: u32, options: &Options, outbox: &Outbox) -> State {
        let link = Box::new(Link::new(accepted, options));
        outbox.set_max_payload(link.info.max_payload);
        outbox.set_connected();
        State::Up { link, announced: false, attempt, since: Instant::now() }
    }
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
        for server in &options.servers {
            let left = deadline.saturating_duration_since(Instant::now());
            match handshake::connect(&*network, server, &options, left).await {
                Ok(accepted) => return Ok(Connection::new(network, options, accepted)),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn new(network: Rc<dyn Network>, options: Options, accepted: Accepted) -> Connection {
        let outbox = Outbox::new([network.random(), network.random()]);
        let options = Rc::new(options);
        let info = accepted.info.clone();
        let state = State::up(accepted, 0, &options, &outbox);
        Connection { options, network, outbox, info, state }
    }

    #[must_use]
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// What the server said of itself, last.
    #[must_use]
    pub fn info(&self) -> &ServerInfo {
        match &self.state {
            State::Up { link, .. } => &link.info,
            State::Down { .. } => &self.info,
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
        match &mut self.state {
            State::Up { link, announced, .. } => {
                if !*announced {
                    *announced = true;
                    handler.on_connected(&link.info, &mut link.write);
                }
                if let Err(fault) = link.turn(handler, &self.outbox).await {
                    self.lose(&fault, handler);
                }
                Ok(())
            }
            State::Down { attempt, next } => {
                let (attempt, result) = (*attempt, next.as_mut().await);
                match result {
                    Ok(accepted) => {
                        self.state = State::up(accepted, attempt, &self.options, &self.outbox);
                        Ok(())
                    }
                    Err(fault) => self.try_again(attempt, fault, handler),
                }
            }
        }
    }

    /// Writes what is left and waits until the server has seen all of it (a PING came back). Messages
    /// that come meanwhile go to the handler.
    ///
    /// # Errors
    /// `nats/disconnected` when there is no connection, or it broke.
    pub async fn flush<H: Handler + ?Sized>(&mut self, handler: &mut H) -> Result<(), Fault> {
        let mut wanted = None;
        loop {
            let State::Up { link, .. } = &mut self.state else {
                return Err(Fault::new(Code::NatsDisconnected, "the connection broke before everything was sent"));
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

    fn lose<H: Handler + ?Sized>(&mut self, fault: &Fault, handler: &mut H) {
        let mut attempt = 1;
        if let State::Up { link, attempt: last, since, .. } = &self.state {
            self.info = link.info.clone();
            self.outbox.set_in_write(link.unsent());
            // A server that accepts and hangs up at once is no reason to hurry.
            if since.elapsed() < self.options.reconnect_max {
                attempt = last.saturating_add(1);
            }
        }
        let dropped = self.outbox.disconnect();
        self.state = State::Down { attempt, next: self.dial_later(attempt) };
        handler.on_disconnected(fault, dropped);
    }

    fn dial_later(&self, attempt: u32) -> Pin<Box<dyn Future<Output = Result<Accepted, Fault>>>> {
        let (network, options) = (Rc::clone(&self.network), Rc::clone(&self.options));
        let pause = backoff::delay(attempt, options.reconnect_min, options.reconnect_max, network.random());
        Box::pin(async move {
            sleep(pause).await;
            let index = attempt as usize % options.servers.len();
            handshake::connect(&*network, &options.servers[index], &options, options.connect_timeout).await
        })
    }

    fn try_again<H: Handler + ?Sized>(&mut self, attempt: u32, fault: Fault, handler: &mut H) -> Result<(), Fault> {
        handler.on_reconnect_failed(&fault, attempt);
        let next = attempt.saturating_add(1);
        self.state = State::Down { attempt: next, next: self.dial_later(next) };
        match self.options.max_reconnects {
            Some(most) if attempt >= most => Err(fault),
            _ => Ok(()),
        }
    }
}
