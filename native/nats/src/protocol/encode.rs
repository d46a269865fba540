//! What a client sends, appended to a buffer.
//!
//! Nothing is checked here: subjects and headers were checked when the pipeline was compiled or came
//! from the parser, which gives none with a blank, CR or LF in it.

use serde::Serialize;

/// What CONNECT says. `None` is left out.
#[derive(Clone, Debug, Serialize)]
pub struct Connect<'a> {
    pub verbose: bool,
    pub pedantic: bool,
    /// Messages with headers are understood.
    pub headers: bool,
    /// A request nobody listens to is answered with status 503 at once.
    pub no_responders: bool,
    /// 1: INFO may come at any time.
    pub protocol: u8,
    /// Whether own messages come back.
    pub echo: bool,
    pub tls_required: bool,
    pub name: &'a str,
    pub lang: &'a str,
    pub version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<&'a str>,
    /// Of the nonce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<&'a str>,
}

impl<'a> Connect<'a> {
    /// What this client always says, without credentials.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Connect {
            verbose: false,
            pedantic: false,
            headers: true,
            no_responders: true,
            protocol: 1,
            echo: true,
            tls_required: false,
            name,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            user: None,
            pass: None,
            auth_token: None,
            jwt: None,
            nkey: None,
            sig: None,
        }
    }
}

pub fn encode_connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    out.extend_from_slice(b"CONNECT ");
    // Strings, numbers and booleans into a Vec: neither can fail.
    let _ = serde_json::to_writer(&mut *out, connect);
    out.extend_from_slice(b"\r\n");
}

/// `queue` is empty for a subscription that gets every message.
pub fn encode_sub(out: &mut Vec<u8>, subject: &[u8], queue: &[u8], sid: u64) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if !queue.is_empty() {
        out.extend_from_slice(queue);
        out.push(b' ');
    }
    write_number(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// `after`: once that many messages have been delivered in all; at once otherwise.
pub fn encode_unsub(out: &mut Vec<u8>, sid: u64, after: Option<u64>) {
    out.extend_from_slice(b"UNSUB ");
    write_number(out, sid);
    if let Some(after) = after {
        out.push(b' ');
        write_number(out, after);
    }
    out.extend_from_slice(b"\r\n");
}

/// `reply` is empty when no answer is wanted.
#[inline]
pub fn encode_pub(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], payload: &[u8]) {
    out.reserve(subject.len() + reply.len() + payload.len() + 32);
    out.extend_from_slice(b"PUB ");
    write_subjects(out, subject, reply);
    write_number(out, payload.len() as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// `headers` is a whole block, from `NATS/1.0` to the empty line. An empty one makes it a PUB, since
/// servers refuse HPUB without headers.
#[inline]
pub fn encode_hpub(out: &mut Vec<u8>, subject: &[u8], reply: &[u8], headers: &[u8], payload: &[u8]) {
    if headers.is_empty() {
        return encode_pub(out, subject, reply, payload);
    }
    out.reserve(subject.len() + reply.len() + headers.len() + payload.len() + 48);
    out.extend_from_slice(b"HPUB ");
    write_subjects(out, subject, reply);
    write_number(out, headers.len() as u64);
    out.push(b' ');
    write_number(out, (headers.len() + payload.len()) as u64);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn write_subjects(out: &mut Vec<u8>, subject: &[u8], reply: &[u8]) {
    debug_assert!(!subject.is_empty() && !subject.iter().chain(reply).any(u8::is_ascii_whitespace));
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
}

pub fn encode_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

pub fn encode_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// `number` in decimal, without an allocation.
#[inline]
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn frames_read_as_the_protocol_says() {
        assert_eq!(encoded(|o| encode_sub(o, b"a.*", b"", 1)), "SUB a.* 1\r\n");
        assert_eq!(encoded(|o| encode_sub(o, b"a.*", b"q", 18)), "SUB a.* q 18\r\n");
        assert_eq!(encoded(|o| encode_unsub(o, 1, None)), "UNSUB 1\r\n");
        assert_eq!(encoded(|o| encode_unsub(o, 1, Some(5))), "UNSUB 1 5\r\n");
        assert_eq!(encoded(|o| encode_pub(o, b"a", b"", b"")), "PUB a 0\r\n\r\n");
        assert_eq!(encoded(|o| encode_pub(o, b"a", b"r", b"hi")), "PUB a r 2\r\nhi\r\n");
        let headers = b"NATS/1.0\r\nA: 1\r\n\r\n";
        assert_eq!(
            encoded(|o| encode_hpub(o, b"a", b"r", headers, b"hi")),
            "HPUB a r 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nhi\r\n"
        );
        assert_eq!(encoded(|o| encode_hpub(o, b"a", b"", b"", b"hi")), "PUB a 2\r\nhi\r\n");
        assert_eq!(encoded(|o| write_number(o, u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn connect_says_only_the_credentials_it_has() {
        let connect = Connect { user: Some("u"), pass: Some("p\"\r\n"), ..Connect::new("node") };
        let text = encoded(|o| encode_connect(o, &connect));
        assert!(text.contains(r#""user":"u","pass":"p\"\r\n""#), "{text}");
        assert!(!text.contains("auth_token"));
        assert_eq!(text.matches("\r\n").count(), 1);
    }
}
