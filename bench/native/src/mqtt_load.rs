//! Publishes orders to a broker with QoS 1, and looks at what arrives in the stream that they are to be stored in.
//!
//! Packets of MQTT 3.1.1 (OASIS standard, 2014) are written by hand: a client would cost more than what is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::arrivals::Arrivals;
use crate::cpu;
use crate::order::Order;
use crate::waits::{Waits, micros};

/// How long the load looks for arrivals before it publishes more.
const LOOK: Duration = Duration::from_millis(2);
/// CONNECT: a clean session, no keep-alive.
const CONNECT: &[u8] = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04load";
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// Bytes of a PUBACK.
const PUBACK: usize = 4;

/// One packet as a template.
struct Packet {
    bytes: Vec<u8>,
    packet_id: usize,
    payload: usize,
}

impl Packet {
    fn new(topic: &str, payload: &[u8]) -> Packet {
        let mut bytes = vec![0x32];
        let mut length = 2 + topic.len() + 2 + payload.len();
        while length >= 128 {
            bytes.push((length % 128) as u8 | 128);
            length /= 128;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(&u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
        let packet_id = bytes.len();
        bytes.extend_from_slice(&[0, 0]);
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        Packet { bytes, packet_id, payload: start }
    }

    fn put(&mut self, order: &mut Order, number: usize, into: &mut Vec<u8>) {
        // 0 is no number of a packet.
        let packet_id = u16::try_from(number % 65_535 + 1).unwrap();
        self.bytes[self.packet_id..self.payload].copy_from_slice(&packet_id.to_be_bytes());
        self.bytes[self.payload..].copy_from_slice(order.set(number));
        into.extend_from_slice(&self.bytes);
    }
}

/// Whether everything has come, once and as it was to be.
pub fn run(options: &Arguments) -> bool {
    let (count, window) = (options.number("count", 100_000), options.number("window", 10_000));
    let cpu = cpu::used();
    let mut arrivals = Arrivals::new(options, count);
    let mut broker = TcpStream::connect(options.text("broker")).unwrap();
    broker.set_nodelay(true).unwrap();
    broker.write_all(CONNECT).unwrap();
    let mut answer = [0; 4];
    broker.read_exact(&mut answer).unwrap();
    assert_eq!(answer, CONNACK, "the broker refuses the connection");
    let mut order = Order::new(options.number("items", 2), false);
    let mut packet = Packet::new(options.text("topic"), order.set(0));
    let (mut out, mut acked, mut sent) = (Vec::new(), vec![0; 64 << 10], 0);
    let (clock, mut waits) = (Instant::now(), Waits::new(count));
    let mut puback_bytes = 0;
    while arrivals.may_come() {
        let until = count.min(arrivals.delivered() + window);
        if sent < until {
            waits.sent(sent..until, micros(clock));
            (sent..until).for_each(|number| packet.put(&mut order, number, &mut out));
            broker.write_all(&out).unwrap();
            out.clear();
            sent = until;
        }
        puback_bytes += read_what_is_there(&mut broker, &mut acked);
        arrivals.take(LOOK, |number, _| waits.delivered(number, micros(clock)));
    }
    while arrivals.is_complete() && puback_bytes < count * PUBACK {
        puback_bytes += open(broker.read(&mut acked).unwrap());
    }
    arrivals.report(count, &cpu::per_message(cpu, count), &waits.json())
}

fn read_what_is_there(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    socket.set_nonblocking(true).unwrap();
    let read = match socket.read(buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        read => open(read.unwrap()),
    };
    socket.set_nonblocking(false).unwrap();
    read
}

fn open(read: usize) -> usize {
    assert!(read > 0, "the broker closed the connection");
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_length_number_and_order() {
        let mut order = Order::new(2, false);
        let mut packet = Packet::new("bench/a", order.set(0));
        let mut bytes = Vec::new();
        packet.put(&mut order, 65_535, &mut bytes);
        let rest = 2 + 7 + 2 + order.len();
        assert_eq!(bytes[..3], [0x32, (rest % 128) as u8 | 128, (rest / 128) as u8]);
        assert_eq!(bytes.len(), 3 + rest);
        assert_eq!(bytes[3..14], *b"\x00\x07bench/a\x00\x01");
        assert_eq!(bytes[14..], *order.set(65_535));
    }
}
