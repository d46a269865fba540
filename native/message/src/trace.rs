//! W3C Trace Context, <https://www.w3.org/TR/trace-context/>: which trace a message belongs to, on its way out.
//!
//! ```text
//! traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01     as it came in
//!                 trace-id: stays                  parent-id: of this hop, flags: stay
//! ```
//!
//! Lanes, parked messages and dead letters keep what came in; each out sends a parent-id of its own, which follows from
//! the id of the delivery: a repetition has the same. A traceparent that is none begins another trace, and its
//! tracestate goes no further. Where there is none, none is made: this program reports no spans, and a trace would begin
//! with one that nobody knows.

use crate::{Headers, hex};

const TRACEPARENT: &[u8] = b"traceparent";
const TRACESTATE: &[u8] = b"tracestate";
/// Of version 00.
pub const TRACEPARENT_LENGTH: usize = 55;
const LENGTH: usize = TRACEPARENT_LENGTH;
/// Sampled, and whether the trace-id is random. What other bits mean is not defined, and they are not passed on.
const KNOWN_FLAGS: u8 = 0b11;

/// Whether a header of this name says which trace a message belongs to.
#[must_use]
#[inline]
pub fn is_traceparent(name: &[u8]) -> bool {
    name.len() == TRACEPARENT.len() && name.eq_ignore_ascii_case(TRACEPARENT)
}

/// What the next hop of a message is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    parent: Option<[u8; LENGTH]>,
    keeps_state: bool,
}

impl Hop {
    /// The hop that delivers under this id.
    #[must_use]
    pub fn next(headers: Headers<'_>, id: &[u8]) -> Hop {
        let mut found = headers.iter().filter(|(name, _)| is_traceparent(name));
        let Some((_, first)) = found.next() else { return Hop { parent: None, keeps_state: false } };
        // Two of them are none.
        match parse(first).filter(|_| found.next().is_none()) {
            Some((trace, flags)) => Hop { parent: Some(written(trace, id, flags)), keeps_state: true },
            None => {
                let trace = [hex64(hash(id, 1)), hex64(hash(id, 2))];
                Hop { parent: Some(written(trace.as_flattened(), id, 0)), keeps_state: false }
            }
        }
    }

    /// The header `traceparent` of the next hop.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.parent.as_ref().and_then(|parent| std::str::from_utf8(parent).ok())
    }

    /// Whether another header of the message goes on beside it.
    #[must_use]
    pub fn passes(&self, name: &[u8]) -> bool {
        let is_state = name.len() == TRACESTATE.len() && name.eq_ignore_ascii_case(TRACESTATE);
        !is_traceparent(name) && (self.keeps_state || !is_state)
    }
}

/// Makes a traceparent of version 00 that of the next hop, as [`Hop::next`] does. `false`, and nothing is changed, for
/// any other value.
#[must_use]
#[inline]
pub fn hop_in_place(value: &mut [u8; LENGTH], id: &[u8]) -> bool {
    if !value.starts_with(b"00") {
        return false;
    }
    let Some((_, flags)) = parse(value) else { return false };
    value[36..52].copy_from_slice(&parent(id));
    value[53..].copy_from_slice(&[b'0', b'0' + flags]);
    true
}

/// Trace-id and known flags. Later versions may say more behind what version 00 says.
#[inline]
fn parse(value: &[u8]) -> Option<(&[u8], u8)> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let fields = [&known[0..2], &known[3..35], &known[36..52], &known[53..55]];
    let [version, trace, parent, flags] = fields;
    let is_well_formed = [2, 35, 52].iter().all(|at| known[*at] == b'-') && fields.iter().all(|field| is_hex(field));
    let has_end = if version == b"00" { more.is_empty() } else { more.is_empty() || more[0] == b'-' };
    if !is_well_formed || !has_end || version == b"ff" || is_zero(trace) || is_zero(parent) {
        return None;
    }
    // Those that are known are in the last digit; a letter's bits say nine less than it means.
    let last = if flags[1].is_ascii_digit() { flags[1] } else { flags[1] + 9 };
    Some((trace, last & KNOWN_FLAGS))
}

/// A traceparent of version 00. `trace`: 32 digits.
fn written(trace: &[u8], id: &[u8], flags: u8) -> [u8; LENGTH] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(trace);
    text[36..52].copy_from_slice(&parent(id));
    text[54] = b'0' + flags;
    text
}

// Every byte is looked at, which is quicker than to stop at the first.
#[inline]
fn is_hex(field: &[u8]) -> bool {
    field.iter().fold(true, |all, byte| all & (byte.is_ascii_digit() | (b'a'..=b'f').contains(byte)))
}

#[inline]
fn is_zero(field: &[u8]) -> bool {
    field.iter().fold(0, |any, byte| any | (byte ^ b'0')) == 0
}

/// The parent-id of the hop that delivers under this id: the digits at its end, where it has such, as nearly all ids of
/// this program.
#[inline]
fn parent(id: &[u8]) -> [u8; 16] {
    match id.last_chunk() {
        Some(digits) if is_hex(digits) && !is_zero(digits) => *digits,
        _ => hex64(hash(id, 0)),
    }
}

fn hex64(number: u64) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    for (digits, bytes) in digits.as_chunks_mut::<8>().0.iter_mut().zip(number.to_be_bytes().as_chunks().0) {
        *digits = hex(*bytes);
    }
    digits
}

/// Never 0. FNV-1a over words of 8 bytes, its bits mixed: ids differ in few bytes. It keeps nothing secret and nobody out.
fn hash(id: &[u8], purpose: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ purpose;
    let (words, rest) = id.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ hash >> 31).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn hop(lines: &str, id: &str) -> (Hop, String) {
        let block = format!("NATS/1.0\r\n{lines}\r\n");
        let hop = Hop::next(Headers::new(block.as_bytes()), id.as_bytes());
        (hop, hop.traceparent().unwrap_or_default().to_owned())
    }

    fn sent(traceparent: &str) -> String {
        hop(&format!("TraceParent: {traceparent}\r\ntracestate: a=1\r\n"), "acme.1").1
    }

    #[test]
    fn trace_and_flags_stay_and_the_parent_is_the_hops() {
        let (hop, sent) = hop(&format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\ntracestate: a=1\r\n"), "acme.1");
        assert_eq!((&sent[..36], &sent[52..], sent.len()), (&*format!("00-{TRACE}-"), "-01", 55));
        assert_ne!(&sent[36..52], "00f067aa0ba902b7");
        assert!(hop.passes(b"Tracestate") && hop.passes(b"ce-type") && !hop.passes(b"Traceparent"));
    }

    #[test]
    fn a_repetition_has_the_same_parent_and_another_out_has_another() {
        let line = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n");
        assert_eq!(hop(&line, "acme.1"), hop(&line, "acme.1"));
        assert_ne!(hop(&line, "acme.1"), hop(&line, "acme.2"));
    }

    #[test]
    fn the_parent_is_the_end_of_an_id_of_ours_and_is_made_of_any_other() {
        let parent =
            |id: &str| hop(&format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-00\r\n"), id).1[36..52].to_owned();
        assert_eq!(parent("acme.0123456789abcdef123456789abcdef0"), "123456789abcdef0");
        for other in ["acme.0123456789abcdef0000000000000000", "acme.0123456789abcdefA23456789abcdef0", "", "7"] {
            assert!(is_hex(parent(other).as_bytes()) && !is_zero(parent(other).as_bytes()), "{other}");
            assert!(!other.ends_with(&parent(other)), "{other}");
        }
    }

    #[test]
    fn of_the_flags_the_two_that_are_known_go_on() {
        for flags in 0..=0xff {
            let sent = sent(&format!("00-{TRACE}-00f067aa0ba902b7-{flags:02x}"));
            assert!(sent.ends_with(&format!("-{:02x}", flags & 3)), "{flags}: {sent}");
        }
    }

    #[test]
    fn in_place_a_traceparent_becomes_what_the_next_hop_writes_or_stays_as_it_is() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-0f");
        let mut others = vec![good.clone(), format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))];
        others.push(format!("00-{TRACE}-{}-01", "0".repeat(16)));
        for at in 0..LENGTH {
            for byte in *b"0-gAf" {
                let mut other = good.clone().into_bytes();
                other[at] = byte;
                others.push(String::from_utf8(other).unwrap());
            }
        }
        for (number, other) in others.iter().enumerate() {
            let id = format!("acme.{number:032x}");
            let mut value: [u8; LENGTH] = other.as_bytes().try_into().unwrap();
            let written = hop(&format!("traceparent: {other}\r\n"), &id).0;
            match hop_in_place(&mut value, id.as_bytes()) {
                true => assert_eq!(std::str::from_utf8(&value).unwrap(), written.traceparent().unwrap(), "{other}"),
                false => {
                    assert_eq!(value, other.as_bytes(), "{other}");
                    assert!(!written.keeps_state || !other.starts_with("00"), "{other}");
                }
            }
        }
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        for later in ["cc", "01"] {
            for more in ["", "-more", "-"] {
                let sent = sent(&format!("{later}-{TRACE}-00f067aa0ba902b7-09{more}"));
                assert!(sent.starts_with(&format!("00-{TRACE}-")) && sent.ends_with("-01"), "{later} {more}: {sent}");
            }
        }
    }

    #[test]
    fn what_is_no_traceparent_begins_another_trace_without_its_state() {
        let zeros = "0".repeat(32);
        let upper = TRACE.to_uppercase();
        for wrong in [
            "",
            "00-1-2-01",
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("01-{TRACE}-00f067aa0ba902b7-01more"),
            &format!("00-{upper}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-0g"),
            &format!("00_{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{TRACE}-00f067aa0ba902b7-0"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01"),
        ] {
            let (hop, sent) = hop(&format!("traceparent: {wrong}\r\ntracestate: a=1\r\n"), "acme.1");
            assert!(parse(sent.as_bytes()).is_some(), "{wrong}: {sent}");
            assert!(!sent.contains(TRACE) && sent.ends_with("-00") && !hop.passes(b"tracestate"), "{wrong}: {sent}");
        }
    }

    #[test]
    fn without_a_traceparent_none_is_made_and_a_state_says_nothing() {
        let (hop, sent) = hop("tracestate: a=1\r\nce-type: order\r\n", "acme.1");
        assert_eq!(sent, "");
        assert!(!hop.passes(b"tracestate") && hop.passes(b"ce-type"));
    }
}
