//! The reply subject of a delivered message: it names the delivery, and what is published to it
//! settles the delivery.

use std::time::Duration;

use crate::protocol::{encode_pub, write_number};

/// What the server wrote into the reply subject.
///
/// Two forms: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`,
/// and the same with `<domain>.<account>` before the stream and room for more tokens at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckReply<'a> {
    pub domain: Option<&'a [u8]>,
    pub stream: &'a [u8],
    pub consumer: &'a [u8],
    /// How often this message has been delivered, this time included.
    pub delivered: u64,
    pub stream_sequence: u64,
    pub consumer_sequence: u64,
    /// When the stream stored it, nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// Messages after this one that the consumer has not delivered yet.
    pub pending: u64,
}

impl<'a> AckReply<'a> {
    /// `None` for a reply subject that is not an acknowledgement.
    #[must_use]
    #[inline]
    pub fn parse(reply: &'a [u8]) -> Option<AckReply<'a>> {
        const MOST: usize = 12;
        let tokens = reply.strip_prefix(b"$JS.ACK.")?;
        let mut split = [&b""[..]; MOST - 2];
        let mut count = 0;
        for token in tokens.split(|byte| *byte == b'.') {
            // Later servers may add tokens at the end.
            let Some(place) = split.get_mut(count) else { break };
            *place = token;
            count += 1;
        }
        let (domain, fields) = match count {
            7 => (None, &split[..7]),
            9.. => (Some(split[0]).filter(|domain| *domain != b"_"), &split[2..9]),
            _ => return None,
        };
        let [stream, consumer, delivered, stream_sequence, consumer_sequence, timestamp, pending] = fields else {
            return None;
        };
        Some(AckReply {
            domain,
            stream,
            consumer,
            delivered: number(delivered)?,
            stream_sequence: number(stream_sequence)?,
            consumer_sequence: number(consumer_sequence)?,
            timestamp_ns: number(timestamp)?,
            pending: number(pending)?,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// Done: a work queue removes the message.
#[inline]
pub fn encode_ack(out: &mut Vec<u8>, reply: &[u8]) {
    // An empty acknowledgement means +ACK and is what costs least.
    encode_pub(out, reply, b"", b"");
}

/// Not done: deliver it again, after `delay` when given, else at once.
pub fn encode_nak(out: &mut Vec<u8>, reply: &[u8], delay: Option<Duration>) {
    let Some(delay) = delay.filter(|delay| !delay.is_zero()) else {
        return encode_pub(out, reply, b"", b"-NAK");
    };
    let mut text = Vec::with_capacity(48);
    text.extend_from_slice(b"-NAK {\"delay\": ");
    // A signed number of nanoseconds on the other side: 292 years at most.
    write_number(&mut text, u64::try_from(delay.as_nanos().min(i64::MAX as u128)).unwrap_or(u64::MAX >> 1));
    text.push(b'}');
    encode_pub(out, reply, b"", &text);
}

/// Still at work: starts the server's ack wait anew.
pub fn encode_wpi(out: &mut Vec<u8>, reply: &[u8]) {
    encode_pub(out, reply, b"", b"+WPI");
}

/// Never deliver it again, though it was not processed. The reason goes into the server's advisory.
pub fn encode_term(out: &mut Vec<u8>, reply: &[u8], reason: Option<&str>) {
    match reason {
        None => encode_pub(out, reply, b"", b"+TERM"),
        Some(reason) => encode_pub(out, reply, b"", format!("+TERM {reason}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_reply_subject() {
        let short = AckReply::parse(b"$JS.ACK.IN.C.1.42.7.1700000000123456789.3").unwrap();
        assert_eq!((short.stream, short.consumer, short.domain), (&b"IN"[..], &b"C"[..], None));
        assert_eq!((short.delivered, short.stream_sequence, short.consumer_sequence), (1, 42, 7));
        assert_eq!((short.timestamp_ns, short.pending), (1_700_000_000_123_456_789, 3));

        let long = AckReply::parse(b"$JS.ACK.hub.ACCOUNT.IN.C.2.42.7.17.3.random").unwrap();
        assert_eq!((long.domain, long.stream, long.delivered, long.pending), (Some(&b"hub"[..]), &b"IN"[..], 2, 3));
        let no_domain = AckReply::parse(b"$JS.ACK._.ACCOUNT.IN.C.2.42.7.17.3").unwrap();
        assert_eq!((no_domain.domain, no_domain.consumer_sequence), (None, 7));
        let later = AckReply::parse(b"$JS.ACK._.ACCOUNT.IN.C.2.42.7.17.3.random.more.of.it").unwrap();
        assert_eq!(later.pending, 3);
    }

    #[test]
    fn anything_else_is_no_acknowledgement() {
        for reply in [
            &b""[..],
            b"_INBOX.x",
            b"$JS.ACK.",
            b"$JS.ACK.IN.C.1.42.7.17",
            b"$JS.ACK.IN.C.1.42.7.17.3.4",
            b"$JS.ACK.IN.C.x.42.7.17.3",
            b"$JS.ACK.IN.C..42.7.17.3",
            b"$JS.ACK.IN.C.-1.42.7.17.3",
            b"$JS.ACK.IN.C.1.99999999999999999999999.7.17.3",
            b"$JS.ACK.IN.C.1.18446744073709551616.7.17.3",
        ] {
            assert_eq!(AckReply::parse(reply), None, "{}", String::from_utf8_lossy(reply));
        }
    }

    #[test]
    fn answers_read_as_the_server_expects() {
        let mut out = Vec::new();
        encode_ack(&mut out, b"r");
        encode_nak(&mut out, b"r", None);
        encode_nak(&mut out, b"r", Some(Duration::from_millis(1500)));
        encode_wpi(&mut out, b"r");
        encode_term(&mut out, b"r", None);
        encode_term(&mut out, b"r", Some("bad"));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PUB r 0\r\n\r\nPUB r 4\r\n-NAK\r\nPUB r 26\r\n-NAK {\"delay\": 1500000000}\r\n\
             PUB r 4\r\n+WPI\r\nPUB r 5\r\n+TERM\r\nPUB r 9\r\n+TERM bad\r\n"
        );
        let mut longest = Vec::new();
        encode_nak(&mut longest, b"r", Some(Duration::MAX));
        assert!(String::from_utf8(longest).unwrap().contains(&i64::MAX.to_string()));
    }
}
