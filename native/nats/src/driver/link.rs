//! A connection while it lives: waiting, reading, dispatching, writing.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use message::{Code, Fault};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval_at, sleep};

use super::handshake::Accepted;
use super::read_buffer::ReadBuffer;
use super::requests;
use super::stream::Stream;
use super::{Handler, Options, Outbox, Pace};
use crate::protocol::{Frame, ParserLimits, Refusal, ServerError, ServerInfo, encode_ping, encode_pong, parse};

/// Pings without a sign of life after which the connection counts as dead.
const MAX_SILENT_PINGS: u32 = 2;
/// A write buffer that grew larger is given back once it is empty.
const KEEP_WRITE: usize = 4 << 20;

pub struct Link {
    stream: Stream,
    read: ReadBuffer,
    limits: ParserLimits,
    read_ahead: usize,
    pub write: Vec<u8>,
    sent: usize,
    pings: Interval,
    silent_pings: u32,
    /// There are other servers: one that gives no sign of life is left soon.
    pub has_others: bool,
    patience: Duration,
    /// The end of the server's time for a sign of life.
    silence: Option<Pin<Box<Sleep>>>,
    pub pings_sent: u64,
    pub pongs: u64,
    pub info: ServerInfo,
    /// `info` is news.
    pub informed: bool,
    /// Nobody in between could have written `info`, or there is no TLS.
    pub proven: bool,
    /// The handler yielded: complete frames may be left.
    unhandled: bool,
    /// Why nothing more can be read or written. Frames already read are still handled.
    closed: Option<Fault>,
    /// What the server complained about last; says more than the end of the stream that follows.
    complaint: Option<Fault>,
}

impl Link {
    pub fn new(accepted: Accepted, options: &Options) -> Self {
        let mut pings = interval_at(Instant::now() + options.ping_interval, options.ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let limits = ParserLimits::default();
        Link {
            stream: accepted.stream,
            read: accepted.read,
            read_ahead: options.read_ahead,
            limits,
            write: Vec::with_capacity(256 << 10),
            sent: 0,
            pings,
            silent_pings: 0,
            has_others: false,
            patience: options.ping_timeout,
            silence: None,
            pings_sent: 0,
            pongs: 0,
            info: accepted.info,
            informed: true,
            proven: accepted.proven,
            unhandled: true,
            closed: None,
            complaint: None,
        }
    }

    /// Bytes in `write` that the socket has not taken.
    pub fn unsent(&self) -> usize {
        self.write.len() - self.sent
    }

    /// One turn; see [`super::Connection::turn`].
    ///
    /// # Errors
    /// When the connection is over and everything it brought has been handled.
    pub async fn turn<H: Handler + ?Sized>(&mut self, handler: &mut H, outbox: &Outbox) -> Result<(), Fault> {
        // What an earlier turn left when it was dropped.
        self.flush(outbox).await;
        let mut waited = false;
        if !self.unhandled && self.closed.is_none() {
            waited = self.wait(outbox).await;
        }
        outbox.take_into(&mut self.write);
        self.obey(outbox);
        self.unhandled = self.dispatch(handler, outbox)? == Pace::Yield;
        handler.on_burst_end(&mut self.write);
        outbox.take_into(&mut self.write);
        self.flush(outbox).await;
        if let Some(fault) = self.closed.take_if(|_| !self.unhandled) {
            return Err(fault);
        }
        if !waited {
            // Other tasks of this thread, and the reactor, have their turn too.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Until bytes came, the outbox has some, or the ping timer ran out. Whether it had to wait.
    async fn wait(&mut self, outbox: &Outbox) -> bool {
        let mut waited = false;
        poll_fn(|context| {
            let event = self.poll_event(context, outbox);
            waited |= event.is_pending();
            event
        })
        .await;
        waited
    }

    fn poll_event(&mut self, context: &mut Context<'_>, outbox: &Outbox) -> Poll<()> {
        let dirty = outbox.poll_dirty(context);
        // A frame that fits no buffer was refused by the parser.
        let cap = self.limits.payload + self.limits.line + 4;
        let read = self.poll_read(context, cap);
        let ticked = self.poll_ping(context);
        if dirty.is_ready() || read.is_ready() || ticked.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// One read. Ready when bytes came or the connection is over; pending also when `cap` is held.
    fn poll_read(&mut self, context: &mut Context<'_>, cap: usize) -> Poll<()> {
        let mut room = ReadBuf::new(self.read.room(cap));
        if room.remaining() == 0 {
            return Poll::Pending;
        }
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, &mut room));
        let count = room.filled().len();
        match result {
            Ok(()) if count > 0 => {
                self.read.filled(count);
                self.silent_pings = 0;
                self.silence = None;
                self.complaint = None;
            }
            Ok(()) => self.close("the server closed the connection"),
            Err(error) => self.close(error),
        }
        Poll::Ready(())
    }

    fn poll_ping(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(silence) = &mut self.silence
            && silence.as_mut().poll(context).is_ready()
        {
            self.silence = None;
            let fault = Fault::new(Code::NatsTimeout, "the server gives no sign of life; another one takes its place");
            self.closed.get_or_insert(fault);
            return Poll::Ready(());
        }
        ready!(self.pings.poll_tick(context));
        if self.silent_pings >= MAX_SILENT_PINGS {
            let fault = Fault::new(Code::NatsTimeout, "the server answered no pings");
            self.closed.get_or_insert(fault);
        } else {
            self.silent_pings += 1;
            self.probe();
        }
        Poll::Ready(())
    }

    /// Asks for a sign of life. Without one the connection ends soon where there are other servers; else two pings of
    /// the clock decide, since a server that hangs is no worse than none.
    pub fn probe(&mut self) {
        if self.silence.is_some() {
            return;
        }
        self.ping();
        if self.has_others {
            self.silence = Some(Box::pin(sleep(self.patience)));
        }
    }

    pub fn ping(&mut self) {
        self.pings_sent += 1;
        encode_ping(&mut self.write);
    }

    fn close(&mut self, reason: impl ToString) {
        let complaint = self.complaint.take();
        self.closed
            .get_or_insert_with(|| complaint.unwrap_or_else(|| Fault::new(Code::NatsDisconnected, reason.to_string())));
    }

    /// Handles complete frames until none is left or the handler yields.
    fn dispatch<H: Handler + ?Sized>(&mut self, handler: &mut H, outbox: &Outbox) -> Result<Pace, Fault> {
        loop {
            let Some((frame, used)) = parse(self.read.held(), &self.limits)? else { return Ok(Pace::Continue) };
            let mut pace = Pace::Continue;
            match frame {
                Frame::Message(message) if message.sid == requests::SID => {
                    outbox.with_requests(|requests| requests.answer(&message));
                }
                Frame::Message(message) => pace = handler.on_message(message, &mut self.write),
                Frame::Ping => encode_pong(&mut self.write),
                Frame::Pong => self.pongs += 1,
                Frame::Ok => {}
                Frame::Info(json) => {
                    self.info = ServerInfo::parse(json)?;
                    (self.informed, self.proven) = (true, true);
                    outbox.set_max_payload(self.info.max_payload);
                    if self.info.ldm {
                        handler.on_server_error(&ServerError::ShuttingDown);
                    }
                }
                Frame::Err(text) => {
                    let error = ServerError::parse(text);
                    if let Some(Refusal::Subscription(subject)) = error.refusal() {
                        outbox.with_requests(|requests| requests.on_refused(subject));
                    }
                    handler.on_server_error(&error);
                    if error.closes() {
                        let fault = error.fault();
                        match &mut self.closed {
                            Some(end) => *end = fault,
                            None => self.complaint = Some(fault),
                        }
                    }
                }
            }
            self.read.consume(used);
            if pace == Pace::Yield {
                return Ok(pace);
            }
        }
    }

    /// Writes everything. While the socket does not take it, goes on reading, since the server may be
    /// waiting for just that; up to `read_ahead` bytes.
    async fn flush(&mut self, outbox: &Outbox) {
        if !self.write.is_empty() && self.closed.is_none() {
            poll_fn(|context| self.poll_flush(context, outbox)).await;
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>, outbox: &Outbox) -> Poll<()> {
        while self.closed.is_none() {
            self.obey(outbox);
            if self.closed.is_some() {
                break;
            }
            match self.poll_send(context) {
                Poll::Ready(Ok(true)) => break,
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(error)) => self.lost_while_writing(context, &error),
                Poll::Pending => {
                    outbox.set_in_write(self.unsent());
                    self.read_on(context);
                    // Until it is pending, or nothing would wake this task for the next ping.
                    while self.closed.is_none() && self.poll_ping(context).is_ready() {}
                    if self.closed.is_none() {
                        return Poll::Pending;
                    }
                }
            }
        }
        if self.closed.is_none() {
            self.write.clear();
            self.write.shrink_to(KEEP_WRITE);
            self.sent = 0;
        }
        outbox.set_in_write(self.unsent());
        Poll::Ready(())
    }

    /// Ends the connection where what is to be sent may not be sent any more.
    fn obey(&mut self, outbox: &Outbox) {
        if self.closed.is_none() && outbox.is_revoked() {
            self.stream.discard();
            self.close("what was to be sent was revoked");
        }
    }

    /// One write, or the last flush: whether everything is on its way. TLS has bytes of its own to
    /// send, so what it took stays in `write` until it has sent them.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let stream = Pin::new(&mut self.stream);
        if self.sent == self.write.len() {
            return stream.poll_flush(context).map_ok(|()| true);
        }
        match ready!(stream.poll_write(context, &self.write[self.sent..]))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => {
                self.sent += count;
                Poll::Ready(Ok(false))
            }
        }
    }

    /// Reads what there is, for the turns to come.
    fn read_on(&mut self, context: &mut Context<'_>) {
        while self.closed.is_none() && self.poll_read(context, self.read_ahead).is_ready() {
            self.unhandled = true;
        }
    }

    fn lost_while_writing(&mut self, context: &mut Context<'_>, error: &io::Error) {
        // The server's last words, such as -ERR, may still be in the socket.
        self.read_on(context);
        self.close(error);
    }
}
