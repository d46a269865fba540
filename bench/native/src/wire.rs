//! The least of the NATS protocol that a relay needs, and a blocking burst loop round it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use memchr::memchr;

pub const CONNECT: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

pub struct Message<'a> {
    pub subject: &'a [u8],
    pub sid: usize,
    pub reply: &'a [u8],
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

pub enum Frame<'a> {
    Message(Message<'a>),
    Ping,
    Pong,
    Other,
}

pub fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

/// One whole frame and its length, or `None`.
pub fn parse(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let end = memchr(b'\n', bytes)?;
    let line = &bytes[..end.saturating_sub(1)];
    match line.first()? {
        b'M' | b'H' => {
            let has_headers = line[0] == b'H';
            let mut fields = [&b""[..]; 6];
            let mut count = 0;
            for field in line.split(|byte| *byte == b' ') {
                fields[count] = field;
                count += 1;
            }
            let total = number(fields[count - 1]);
            let headers = if has_headers { number(fields[count - 2]) } else { 0 };
            let reply = if count == if has_headers { 6 } else { 5 } { fields[3] } else { b"" };
            let start = end + 1;
            if bytes.len() < start + total + 2 {
                return None;
            }
            let message = Message {
                subject: fields[1],
                sid: number(fields[2]),
                reply,
                headers: &bytes[start..start + headers],
                payload: &bytes[start + headers..start + total],
            };
            Some((Frame::Message(message), start + total + 2))
        }
        b'P' => Some((if line[1] == b'I' { Frame::Ping } else { Frame::Pong }, end + 1)),
        b'-' => panic!("{}", String::from_utf8_lossy(line)),
        _ => Some((Frame::Other, end + 1)),
    }
}

/// What a receiver that only counts and checks needs of a message.
pub struct Delivery<'a> {
    pub sid: u8,
    pub payload: &'a [u8],
}

/// The message at the start, and its length; `None` where no whole message is. Faster than `parse`: of its first line
/// only the sid, which is one digit, and the two sizes at the end are read.
pub fn delivery(bytes: &[u8]) -> Option<(Delivery<'_>, usize)> {
    let has_headers = match bytes.first()? {
        b'H' => true,
        b'M' => false,
        _ => return None,
    };
    let end = memchr(b'\n', bytes)?;
    let subject = 4 + usize::from(has_headers);
    let sid = bytes[subject + memchr(b' ', &bytes[subject..end])? + 1] - b'0';
    let (total, before) = last_number(&bytes[..end - 1]);
    let headers = if has_headers { last_number(before).0 } else { 0 };
    let (start, whole) = (end + 1, end + 1 + total + 2);
    let payload = bytes.get(start..whole)?.get(headers..total)?;
    Some((Delivery { sid, payload }, whole))
}

/// The number at the end of a line, and the line before it and its space.
fn last_number(line: &[u8]) -> (usize, &[u8]) {
    let (mut at, mut value, mut place) = (line.len(), 0, 1);
    while line[at - 1] != b' ' {
        at -= 1;
        value += usize::from(line[at] - b'0') * place;
        place *= 10;
    }
    (value, &line[..at - 1])
}

pub fn put_number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let (mut rest, mut at) = (number, digits.len());
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

pub fn publish(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], headers: &[u8], payload: &[u8]) {
    out.extend_from_slice(if headers.is_empty() { b"PUB " } else { b"HPUB " });
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if !headers.is_empty() {
        put_number(out, headers.len());
        out.push(b' ');
    }
    put_number(out, headers.len() + payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// The headers of what a relay stores that came without any.
pub const STAMPED: &[u8] = b"NATS/1.0\r\nCustomer-ID: acme\r\n\r\n";

/// A header block with one line more, as a real relay would stamp its tenant.
pub fn stamp(headers: &[u8], into: &mut Vec<u8>) {
    into.clear();
    if headers.is_empty() {
        into.extend_from_slice(b"NATS/1.0\r\n");
    } else {
        into.extend_from_slice(&headers[..headers.len() - 2]);
    }
    into.extend_from_slice(b"Customer-ID: acme\r\n\r\n");
}

/// Whether the answer to a publish says that it was stored; without a stream it is an empty status.
pub fn is_pub_ack(payload: &[u8]) -> bool {
    payload.starts_with(b"{\"stream\":")
}

/// Ends the bench at a publish that was refused.
pub fn assert_stored(payload: &[u8]) {
    assert!(is_pub_ack(payload), "refused: {}", String::from_utf8_lossy(payload));
}

/// A blocking connection that reads bursts and writes once for each.
pub struct Link {
    pub socket: TcpStream,
    buffer: Vec<u8>,
    have: usize,
    pub out: Vec<u8>,
}

impl Link {
    pub fn connect(server: &str, subscriptions: &[(&str, usize)]) -> Link {
        let mut socket = TcpStream::connect(server).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut hello = CONNECT.to_vec();
        for (subject, sid) in subscriptions {
            hello.extend_from_slice(format!("SUB {subject} {sid}\r\n").as_bytes());
        }
        hello.extend_from_slice(b"PING\r\n");
        socket.write_all(&hello).unwrap();
        let mut link = Link { socket, buffer: vec![0; 128 << 10], have: 0, out: Vec::with_capacity(1 << 20) };
        let mut subscribed = false;
        while !subscribed {
            link.burst(|frame, _| subscribed |= matches!(frame, Frame::Pong));
        }
        link
    }

    /// Writes what waits, reads once, and hands every whole frame over. `false` when nothing came
    /// within the socket's read timeout; without one it waits for ever.
    pub fn burst(&mut self, mut handle: impl FnMut(Frame<'_>, &mut Vec<u8>)) -> bool {
        if !self.read() {
            return false;
        }
        let mut at = 0;
        while let Some((frame, used)) = parse(&self.buffer[at..self.have]) {
            at += used;
            if matches!(frame, Frame::Ping) {
                self.out.extend_from_slice(b"PONG\r\n");
            }
            handle(frame, &mut self.out);
        }
        self.drop_front(at);
        self.flush();
        true
    }

    /// As `burst`, of messages alone.
    pub fn deliveries(&mut self, mut handle: impl FnMut(Delivery<'_>)) -> bool {
        if !self.read() {
            return false;
        }
        let mut at = 0;
        loop {
            if let Some((message, used)) = delivery(&self.buffer[at..self.have]) {
                handle(message);
                at += used;
            } else if let Some((frame, used)) = parse(&self.buffer[at..self.have]) {
                if matches!(frame, Frame::Ping) {
                    self.out.extend_from_slice(b"PONG\r\n");
                }
                at += used;
            } else {
                break;
            }
        }
        self.drop_front(at);
        true
    }

    /// Writes what waits, and reads once.
    fn read(&mut self) -> bool {
        self.flush();
        if self.have == self.buffer.len() {
            self.buffer.resize(self.have * 2, 0);
        }
        let read = match self.socket.read(&mut self.buffer[self.have..]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            read => read.unwrap(),
        };
        assert!(read > 0, "the server closed the connection");
        self.have += read;
        true
    }

    fn drop_front(&mut self, used: usize) {
        self.buffer.copy_within(used..self.have, 0);
        self.have -= used;
    }

    /// Past the buffer of what waits, which goes first.
    pub fn write(&mut self, bytes: &[u8]) {
        self.flush();
        self.socket.write_all(bytes).unwrap();
    }

    pub fn flush(&mut self) {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out).unwrap();
            self.out.clear();
        }
    }
}

/// One question to the server, over a connection of its own.
pub fn request(server: &str, subject: &str, payload: &str) -> String {
    let inbox = format!("_INBOX.ask{}", std::process::id());
    let mut link = Link::connect(server, &[(&inbox, 1)]);
    publish(&mut link.out, subject.as_bytes(), inbox.as_bytes(), b"", payload.as_bytes());
    let mut answer = None;
    while answer.is_none() {
        link.burst(|frame, _| {
            if let Frame::Message(message) = frame {
                answer = Some(String::from_utf8_lossy(message.payload).into_owned());
            }
        });
    }
    answer.unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_whole_or_not_at_all() {
        let bytes = b"HMSG a.b 7 re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n";
        let whole = bytes.len() - 6;
        assert!((0..whole).all(|end| parse(&bytes[..end]).is_none()));
        let Some((Frame::Message(message), used)) = parse(bytes) else { panic!("no message") };
        assert_eq!((used, message.subject, message.sid, message.reply), (whole, &b"a.b"[..], 7, &b"re.ply"[..]));
        assert_eq!((message.headers, message.payload), (&b"NATS/1.0\r\n\r\n"[..], &b"hi"[..]));
        assert!(matches!(parse(&bytes[whole..]), Some((Frame::Ping, 6))));
    }

    #[test]
    fn a_delivery_is_what_parse_finds() {
        for bytes in
            [&b"HMSG a.b 7 re.ply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"[..], b"MSG a 2 r 3\r\nyes\r\n", b"MSG a 1 0\r\n\r\n"]
        {
            assert!((0..bytes.len()).all(|end| delivery(&bytes[..end]).is_none()));
            let Some((Frame::Message(message), used)) = parse(bytes) else { panic!("no message") };
            let (found, length) = delivery(bytes).unwrap();
            assert_eq!((usize::from(found.sid), found.payload, length), (message.sid, message.payload, used));
        }
        assert!(delivery(b"PING\r\n").is_none());
    }

    #[test]
    fn a_stamp_is_one_header_more() {
        let mut headers = Vec::new();
        stamp(b"NATS/1.0\r\nA: 1\r\n\r\n", &mut headers);
        assert_eq!(headers, b"NATS/1.0\r\nA: 1\r\nCustomer-ID: acme\r\n\r\n");
        stamp(b"", &mut headers);
        let mut out = Vec::new();
        publish(&mut out, b"o", b"r", &headers, b"hi");
        assert_eq!(out, b"HPUB o r 31 33\r\nNATS/1.0\r\nCustomer-ID: acme\r\n\r\nhi\r\n");
    }
}
