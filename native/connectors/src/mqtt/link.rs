//! One connection to a broker: bytes to packets and back, signs of life, one task that owns it.
//!
//! Everything waits in [`Link::next`], which may be dropped at any time: what was read stays in the buffer, and what was
//! not written does, too.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use message::{Code, Fault};
use mqtt_protocol_core::mqtt::Connection;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event, TimerKind};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use mqtt_protocol_core::mqtt::role::Client;
use mqtt_protocol_core::mqtt::{self as wire};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::broker::{Broker, Qos, Version};
use super::packet::{self, Connack, Message, Received, Told};
use super::reason::{self, lost, malformed, of_dial, of_error, of_sending};
use crate::dial::dial;
use crate::http::guard::AddressPolicy;
use crate::tls::Tls;

const INPUT: usize = 64 << 10;
/// No more is put into the buffer for writing while it holds this much.
const FULL_OUTPUT: usize = 256 << 10;

trait Stream: AsyncRead + AsyncWrite {}
impl<S: AsyncRead + AsyncWrite> Stream for S {}

pub(crate) struct Link {
    stream: Pin<Box<dyn Stream>>,
    state: Connection<Client>,
    version: Version,
    input: Box<[u8]>,
    /// What of `input` is read and not yet taken apart.
    unread: std::ops::Range<usize>,
    output: Vec<u8>,
    written: usize,
    is_flushed: bool,
    /// Something has to be on its way to the broker by then.
    written_by: Option<Instant>,
    ping_at: Option<Instant>,
    pong_by: Option<Instant>,
    pong_timeout: Duration,
}

/// How a session begins.
pub(crate) struct Start<'a> {
    pub(crate) client_id: &'a str,
    /// `None`: it ends with its connection, and begins anew.
    pub(crate) session_expiry: Option<Duration>,
    /// Messages that the broker may send before they are acked, where it can be told.
    pub(crate) receive_maximum: u16,
}

impl Link {
    /// TCP to a checked address, TLS, CONNECT and CONNACK, all before the deadline.
    pub(crate) async fn open(
        broker: &Broker,
        tls: Option<&Tls>,
        policy: &AddressPolicy,
        start: &Start<'_>,
        deadline: Instant,
    ) -> Result<(Link, Connack), Fault> {
        let at = format!("{}:{}", broker.host, broker.port);
        let tcp = dial(policy, &broker.host, broker.port, deadline).await.map_err(|error| of_dial(&error))?;
        let late = |_| Fault::new(Code::MqttTimeout, format!("no answer from {at} in time"));
        let stream: Pin<Box<dyn Stream>> = match tls {
            None => Box::pin(tcp),
            Some(tls) => {
                let name = broker.host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let name = ServerName::try_from(name)
                    .map_err(|_| Fault::new(Code::MqttTls, "the broker's name is none that a certificate can have"))?;
                let connecting = TlsConnector::from(tls.client()).connect(name, tcp);
                let connected = timeout_at(deadline, connecting).await.map_err(late)?;
                Box::pin(connected.map_err(|error| Fault::new(Code::MqttTls, format!("no TLS with {at}: {error}")))?)
            }
        };
        let mut link = Link::new(stream, broker);
        link.begin(broker, start)?;
        let connack = timeout_at(deadline, link.connack()).await.map_err(late)??;
        if connack.reason != 0 {
            return Err(reason::of_connack(broker.version, connack.reason, &connack.detail));
        }
        Ok((link, connack))
    }

    /// Sends CONNECT. The broker is told how many messages it may send before they are acked; the state is not, which
    /// would end the connection at one more: a Mosquitto sends its whole backlog when a session is resumed. Whoever
    /// reads no further than there is room needs no other bound.
    fn begin(&mut self, broker: &Broker, start: &Start<'_>) -> Result<(), Fault> {
        let connect = |told| {
            packet::connect(broker, start.client_id, start.session_expiry, told).map_err(|_| {
                Fault::new(Code::ConfigInvalidValue, "client id, user or password is longer than MQTT allows")
            })
        };
        let before = self.output.len();
        self.send(connect(None)?)?;
        self.output.truncate(before);
        let told = Told { receive_maximum: start.receive_maximum, max_packet: broker.max_packet };
        self.put(&connect(Some(told))?);
        Ok(())
    }

    fn new(stream: Pin<Box<dyn Stream>>, broker: &Broker) -> Link {
        let options = ConnectionOptions::new().maximum_packet_size_recv(broker.max_packet);
        let version = match broker.version {
            Version::V3 => wire::Version::V3_1_1,
            Version::V5 => wire::Version::V5_0,
        };
        let pong_timeout = broker.keep_alive.max(Duration::from_secs(5)) / 2;
        let mut state = Connection::with_options(version, options);
        state.set_pingresp_recv_timeout(u64::try_from(pong_timeout.as_millis()).unwrap_or(u64::MAX));
        Link {
            stream,
            state,
            version: broker.version,
            input: vec![0; INPUT].into(),
            unread: 0..0,
            output: Vec::new(),
            written: 0,
            is_flushed: true,
            written_by: None,
            ping_at: None,
            pong_by: None,
            pong_timeout,
        }
    }

    async fn connack(&mut self) -> Result<Connack, Fault> {
        let received = self.next(true).await.map_err(|fault| self.explain(fault))?;
        match received {
            Some(Received::Connack(connack)) => Ok(connack),
            None => Box::pin(self.connack()).await,
            Some(Received::Disconnect(number, detail)) => Err(reason::fault("refuses the connection", number, &detail)),
            Some(_) => Err(malformed("its first packet is no CONNACK")),
        }
    }

    /// A broker that knows no MQTT 5 answers with the CONNACK of 3.1.1, or hangs up.
    fn explain(&self, fault: Fault) -> Fault {
        match (self.version, fault.code()) {
            (Version::V5, Code::MqttMalformed) => {
                Fault::new(Code::MqttVersion, format!("{}; perhaps the broker does not speak MQTT 5", fault.reason()))
            }
            (_, Code::MqttDisconnected) => {
                Fault::new(Code::MqttDisconnected, "the broker hung up instead of answering CONNECT")
            }
            _ => fault,
        }
    }

    /// The answer is a [`Received::Suback`]; messages may come before it.
    pub(crate) fn subscribe(&mut self, filters: &[String], qos: Qos) -> Result<(), Fault> {
        let packet_id = self.packet_id()?;
        let packet = packet::subscribe(self.version, packet_id, filters, qos);
        self.send(packet.map_err(|_| Fault::new(Code::ConfigInvalidValue, "the topic cannot be subscribed to"))?)
    }

    /// The answer is a [`Received::Unsuback`]; messages may come before it.
    pub(crate) fn unsubscribe(&mut self, filters: &[String]) -> Result<(), Fault> {
        let packet_id = self.packet_id()?;
        self.send_built(packet::unsubscribe(self.version, packet_id, filters))
    }

    /// `None`: all numbers are in use.
    fn packet_id(&mut self) -> Result<u16, Fault> {
        let used_up = |_| Fault::new(Code::MqttQuotaExceeded, "65,535 packets wait for the broker");
        self.state.acquire_packet_id().map_err(used_up)
    }

    pub(crate) fn ack(&mut self, packet_id: u16, qos: Qos, refused: bool) -> Result<(), Fault> {
        self.send_built(packet::ack(self.version, packet_id, qos, refused))
    }

    pub(crate) fn complete(&mut self, packet_id: u16) -> Result<(), Fault> {
        self.send_built(packet::pubcomp(self.version, packet_id))
    }

    pub(crate) fn release(&mut self, packet_id: u16) -> Result<(), Fault> {
        self.send_built(packet::pubrel(self.version, packet_id))
    }

    /// Its number, with QoS 1 and 2.
    ///
    /// # Errors
    /// The outer: the connection is of no use any more. The inner: this message cannot be sent.
    pub(crate) fn publish(&mut self, message: &Message<'_>) -> Result<Result<Option<u16>, Fault>, Fault> {
        let packet_id = if message.qos == Qos::AtMostOnce { None } else { Some(self.packet_id()?) };
        let failed = match packet::publish(self.version, packet_id, message) {
            Err(error) => error,
            Ok(packet) => match self.try_send(packet) {
                Ok(()) => return Ok(Ok(packet_id)),
                Err(error) => error,
            },
        };
        if let Some(packet_id) = packet_id {
            self.state.release_packet_id(packet_id);
        }
        match failed {
            MqttError::PacketTooLarge => {
                Ok(Err(Fault::new(Code::MqttPacketTooLarge, "the message is larger than the broker takes")))
            }
            MqttError::MalformedPacket | MqttError::ValueOutOfRange => {
                Ok(Err(Fault::new(Code::MqttTopicInvalid, "topic or properties are longer than MQTT allows")))
            }
            error => Err(of_error(error)),
        }
    }

    /// Says goodbye; what is written then goes out with it.
    pub(crate) async fn disconnect(mut self, deadline: Instant) {
        if self.send_built(packet::disconnect(self.version)).is_ok() {
            let _ = timeout_at(deadline, poll_fn(|cx| self.poll_write(cx))).await;
            let _ = timeout_at(deadline, poll_fn(|cx| self.stream.as_mut().poll_shutdown(cx))).await;
            // A socket that is closed with something unread is reset, and the broker loses the last acks.
            while let Ok(Ok(())) = timeout_at(deadline, poll_fn(|cx| self.poll_read(cx))).await {}
        }
    }

    fn send_built(&mut self, packet: Result<Packet, MqttError>) -> Result<(), Fault> {
        self.send(packet.map_err(of_error)?)
    }

    fn send(&mut self, packet: Packet) -> Result<(), Fault> {
        self.try_send(packet).map_err(of_sending)
    }

    fn try_send(&mut self, packet: Packet) -> Result<(), MqttError> {
        let events = self.state.send(packet);
        let mut failed = Ok(());
        self.take_events(events, &mut |error| failed = Err(error));
        failed
    }

    /// The packet for whoever waits for one, among what the protocol wants to be done.
    fn take_events(&mut self, events: Vec<Event>, on_error: &mut dyn FnMut(MqttError)) -> Option<Packet> {
        let mut received = None;
        for event in events {
            match event {
                Event::NotifyPacketReceived(packet) => received = Some(packet),
                Event::RequestSendPacket { packet, .. } => self.put(&packet),
                Event::NotifyError(error) => on_error(error),
                Event::RequestTimerReset { kind, duration_ms } => {
                    self.set_timer(kind, Some(Instant::now() + Duration::from_millis(duration_ms)));
                }
                Event::RequestTimerCancel(kind) => self.set_timer(kind, None),
                // An error comes with it.
                Event::RequestClose | Event::NotifyPacketIdReleased(_) => {}
            }
        }
        received
    }

    fn put(&mut self, packet: &Packet) {
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
        for part in packet.to_buffers() {
            self.output.extend_from_slice(&part);
        }
        self.is_flushed = false;
        self.written_by = self.written_by.or_else(|| Some(Instant::now() + self.pong_timeout));
    }

    fn set_timer(&mut self, kind: TimerKind, at: Option<Instant>) {
        match kind {
            TimerKind::PingreqSend => self.ping_at = at,
            TimerKind::PingrespRecv => self.pong_by = at,
            TimerKind::PingreqRecv => {}
        }
    }

    /// Whether more may be sent now.
    pub(crate) fn has_room(&self) -> bool {
        self.output.len() - self.written < FULL_OUTPUT
    }

    /// Whether all that was sent has left this process.
    pub(crate) fn is_written(&self) -> bool {
        self.written == self.output.len() && self.is_flushed
    }

    /// The next packet, or `None` when something else has moved on: all is written, or a timer has fired. It reads only
    /// when it `may_read`. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, may_read: bool) -> Result<Option<Received>, Fault> {
        loop {
            if may_read && !self.unread.is_empty() {
                if let Some(received) = self.parse()? {
                    return Ok(Some(received));
                }
                continue;
            }
            let deadline = self.deadline(may_read);
            tokio::select! {
                biased;
                moved = poll_fn(|cx| self.poll_io(cx, may_read)) => match moved {
                    Ok(Moved::Read) => {}
                    Ok(Moved::Wrote) => return Ok(None),
                    Err(error) => return Err(lost(&error.to_string())),
                },
                () = sleep_until(deadline) => {
                    self.on_timer(may_read)?;
                    return Ok(None);
                }
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Received>, Fault> {
        let unread = &self.input[self.unread.clone()];
        let mut cursor = Cursor::new(unread);
        let events = self.state.recv(&mut cursor);
        let taken = usize::try_from(cursor.position()).unwrap_or(unread.len());
        self.unread.start += taken;
        let mut failed = None;
        let packet = self.take_events(events, &mut |error| failed = failed.or(Some(error)));
        if let Some(error) = failed {
            self.last_words();
            return Err(of_error(error));
        }
        let Some(packet) = packet else { return Ok(None) };
        packet::received(packet).map(Some).ok_or_else(|| malformed("it sent a packet that only clients send"))
    }

    /// Tells the broker why, when that needs no waiting.
    fn last_words(&mut self) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_write(&mut cx);
    }

    fn poll_io(&mut self, cx: &mut Context<'_>, may_read: bool) -> Poll<io::Result<Moved>> {
        if !self.is_written()
            && let Poll::Ready(written) = self.poll_write(cx)
        {
            return Poll::Ready(written.map(|()| Moved::Wrote));
        }
        if may_read { self.poll_read(cx).map_ok(|()| Moved::Read) } else { Poll::Pending }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = ReadBuf::new(&mut self.input);
        ready!(self.stream.as_mut().poll_read(cx, &mut buffer))?;
        let length = buffer.filled().len();
        if length == 0 {
            return Poll::Ready(Err(io::Error::other("the broker closed the connection")));
        }
        self.unread = 0..length;
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let written = ready!(self.stream.as_mut().poll_write(cx, &self.output[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.written_by = Some(Instant::now() + self.pong_timeout);
        }
        // A message of 8 MiB is no reason to hold as much for ever.
        self.output.clear();
        self.output.shrink_to(FULL_OUTPUT);
        self.written = 0;
        ready!(self.stream.as_mut().poll_flush(cx))?;
        (self.is_flushed, self.written_by) = (true, None);
        Poll::Ready(Ok(()))
    }

    fn deadline(&self, may_read: bool) -> Instant {
        let pong_by = if may_read { self.pong_by } else { None };
        let far = Instant::now() + Duration::from_secs(3600);
        [self.ping_at, pong_by, self.written_by].into_iter().flatten().min().unwrap_or(far)
    }

    fn on_timer(&mut self, may_read: bool) -> Result<(), Fault> {
        let now = Instant::now();
        // A broker that waits until we read, while we wait until it does, is not heard either.
        if self.written_by.is_some_and(|by| by <= now) {
            return Err(Fault::new(Code::MqttTimeout, "the broker takes nothing more"));
        }
        if !may_read && self.pong_by.is_some() {
            // The answer may lie there, unread by our own choice.
            self.pong_by = Some(now + self.pong_timeout);
        } else if self.pong_by.is_some_and(|by| by <= now) {
            return Err(Fault::new(Code::MqttTimeout, "the broker does not answer PINGREQ"));
        }
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = None;
            let events = self.state.notify_timer_fired(TimerKind::PingreqSend);
            let mut failed = Ok(());
            self.take_events(events, &mut |error| failed = Err(of_error(error)));
            failed?;
        }
        Ok(())
    }
}

enum Moved {
    Read,
    Wrote,
}
