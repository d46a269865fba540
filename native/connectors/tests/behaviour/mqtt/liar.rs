//! A broker written by hand, so that it can do everything wrong.

use std::future::Future;

use connectors::mqtt::{Broker, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const DISCONNECT: u8 = 14;

/// The broker's end of one connection.
pub struct Peer {
    stream: TcpStream,
}

/// Each connection is served by `serve`, one after the other.
pub async fn broker<S: Future<Output = ()> + 'static>(
    version: Version,
    mut serve: impl FnMut(Peer, usize) -> S + 'static,
) -> Broker {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let mut connections = 0;
        while let Ok((stream, _)) = listener.accept().await {
            serve(Peer { stream }, connections).await;
            connections += 1;
        }
    });
    Broker { version, ..Broker::at("127.0.0.1", port) }
}

impl Peer {
    /// The next packet, which has to be of this type: its body. `None` when the client has hung up.
    pub async fn expect(&mut self, kind: u8) -> Vec<u8> {
        let (got, body) = self.packet().await.expect("the client has hung up");
        assert_eq!(got, kind, "{body:?}");
        body
    }

    /// Type and body of the next packet but PINGREQ.
    pub async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((first >> 4, body))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A client that has hung up is what many tests wait for.
        let _ = self.stream.write_all(bytes).await;
    }

    /// CONNACK and SUBACK as they should be; returns with the body of CONNECT.
    pub async fn welcome(&mut self, version: Version, session_present: bool, qos: u8) -> Vec<u8> {
        let connect = self.expect(CONNECT).await;
        self.send(&connack(version, session_present, 0)).await;
        let subscribe = self.expect(SUBSCRIBE).await;
        self.send(&suback(version, [subscribe[0], subscribe[1]], qos)).await;
        connect
    }

    /// Whether the client sends something, though it has been given every turn to do so.
    pub async fn has_more(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut byte = [0];
        self.stream.try_read(&mut byte).is_ok()
    }

    /// Until the client hangs up.
    pub async fn wait_for_the_end(&mut self) {
        while self.packet().await.is_some() {}
    }
}

pub fn connack(version: Version, session_present: bool, reason: u8) -> Vec<u8> {
    match version {
        Version::V3 => vec![0x20, 2, u8::from(session_present), reason],
        Version::V5 => vec![0x20, 3, u8::from(session_present), reason, 0],
    }
}

pub fn suback(version: Version, packet_id: [u8; 2], reason: u8) -> Vec<u8> {
    match version {
        Version::V3 => vec![0x90, 3, packet_id[0], packet_id[1], reason],
        Version::V5 => vec![0x90, 4, packet_id[0], packet_id[1], 0, reason],
    }
}

/// On the topic `orders/1`.
pub fn publish(version: Version, qos: u8, packet_id: u16, is_duplicate: bool, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x08orders/1".to_vec();
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend(payload);
    let first = 0x30 | qos << 1 | u8::from(is_duplicate) << 3;
    let mut packet = vec![first];
    let mut length = body.len();
    while length >= 128 {
        packet.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    packet.push(length as u8);
    packet.extend(body);
    packet
}
