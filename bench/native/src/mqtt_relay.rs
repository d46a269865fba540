//! The limit of MQTT in: `mqtt-protocol-core`, a publish for each message of QoS 1, its PubAck, PUBACK.

use std::io::Write as _;

use bytes::{Buf, BytesMut};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, Event};
use mqtt_protocol_core::mqtt::packet::{GenericPacketTrait, Packet, Qos, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::role::Client;
use mqtt_protocol_core::mqtt::{Connection, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::arguments::Arguments;
use crate::wire::{CONNECT, Frame, STAMPED, assert_stored, number, parse, publish, put_number};

struct Relay {
    connection: Connection<Client>,
    to_broker: Vec<u8>,
    to_server: Vec<u8>,
    subject: Vec<u8>,
    inbox: Vec<u8>,
    filter: String,
}

/// Until the broker or the server goes.
pub fn run(options: &Arguments) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inbox = format!("_INBOX.mqtt{}.", std::process::id());
    let mut to_server = CONNECT.to_vec();
    write!(to_server, "SUB {inbox}* 1\r\n").unwrap();
    // The most that there is: in a clean session, Mosquitto 2.0 was seen to send one message more than it is told.
    let limits = ConnectionOptions::new().receive_maximum(65_535);
    let mut relay = Relay {
        connection: Connection::with_options(Version::V5_0, limits),
        to_broker: Vec::new(),
        to_server,
        subject: options.text("subject").into(),
        inbox: inbox.into_bytes(),
        filter: options.text("filter").to_owned(),
    };
    let connect = v5_0::Connect::builder().client_id("bare").unwrap().clean_start(true).build().unwrap();
    relay.send(Packet::V5_0Connect(connect));
    runtime.block_on(relay.pass(options.text("server"), options.text("broker")))
}

impl Relay {
    async fn pass(mut self, server: &str, broker: &str) -> ! {
        let (mut server, mut broker) =
            (TcpStream::connect(server).await.unwrap(), TcpStream::connect(broker).await.unwrap());
        server.set_nodelay(true).unwrap();
        broker.set_nodelay(true).unwrap();
        let (mut answers, mut packets) = (BytesMut::with_capacity(256 << 10), BytesMut::with_capacity(256 << 10));
        loop {
            server.write_all(&self.to_server).await.unwrap();
            broker.write_all(&self.to_broker).await.unwrap();
            self.to_server.clear();
            self.to_broker.clear();
            answers.reserve(64 << 10);
            packets.reserve(64 << 10);
            let read = tokio::select! {
                read = server.read_buf(&mut answers) => read,
                read = broker.read_buf(&mut packets) => read,
            };
            assert!(read.unwrap() > 0, "the connection is closed");
            let used = self.on_answers(&answers);
            answers.advance(used);
            let mut cursor = Cursor::new(&packets[..]);
            while cursor.position() < packets.len() as u64 {
                let events = self.connection.recv(&mut cursor);
                self.take(events);
            }
            packets.clear();
        }
    }

    /// A PubAck names the number of the packet that it is for.
    fn on_answers(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some((frame, used)) = parse(&bytes[at..]) {
            at += used;
            match frame {
                Frame::Message(message) => {
                    assert_stored(message.payload);
                    let packet_id = u16::try_from(number(&message.subject[self.inbox.len()..])).unwrap();
                    self.send(Packet::V5_0Puback(v5_0::Puback::builder().packet_id(packet_id).build().unwrap()));
                }
                Frame::Ping => self.to_server.extend_from_slice(b"PONG\r\n"),
                _ => {}
            }
        }
        at
    }

    fn send(&mut self, packet: Packet) {
        let events = self.connection.send(packet);
        self.take(events);
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::RequestSendPacket { packet, .. } => {
                    packet.to_buffers().iter().for_each(|part| self.to_broker.extend_from_slice(part));
                }
                Event::NotifyPacketReceived(packet) => self.on_packet(&packet),
                Event::NotifyError(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    fn on_packet(&mut self, packet: &Packet) {
        match packet {
            Packet::V5_0Connack(_) => {
                let packet_id = self.connection.acquire_packet_id().unwrap();
                let entry = SubEntry::new(&self.filter, SubOpts::new().set_qos(Qos::AtLeastOnce)).unwrap();
                let subscribe = v5_0::Subscribe::builder().packet_id(packet_id).entries(vec![entry]);
                self.send(Packet::V5_0Subscribe(subscribe.build().unwrap()));
            }
            Packet::V5_0Suback(_) => println!("ready"),
            Packet::V5_0Publish(message) => {
                let mut reply = self.inbox.clone();
                put_number(&mut reply, message.packet_id().unwrap().into());
                publish(&mut self.to_server, &self.subject, &reply, STAMPED, message.payload().as_slice());
            }
            _ => {}
        }
    }
}
