//! Properties of the parser: cuts change nothing, nothing panics, what is encoded is what is read.

use nats::jetstream::{AckReply, PubAck, PullStatus};
use nats::protocol::{
    Frame, ParserLimits, ServerError, ServerInfo, encode_hpub, encode_ping, encode_pong, parse, status,
};
use proptest::prelude::*;

/// A frame, owned.
#[derive(Clone, Debug, PartialEq)]
enum Owned {
    Message { subject: Vec<u8>, sid: u64, reply: Vec<u8>, headers: Vec<u8>, payload: Vec<u8> },
    Ping,
    Pong,
    Ok,
    Err(Vec<u8>),
    Info(Vec<u8>),
}

impl Owned {
    fn of(frame: Frame<'_>) -> Owned {
        match frame {
            Frame::Message(m) => Owned::Message {
                subject: m.subject.to_vec(),
                sid: m.sid,
                reply: m.reply.to_vec(),
                headers: m.headers.to_vec(),
                payload: m.payload.to_vec(),
            },
            Frame::Ping => Owned::Ping,
            Frame::Pong => Owned::Pong,
            Frame::Ok => Owned::Ok,
            Frame::Err(text) => Owned::Err(text.to_vec()),
            Frame::Info(json) => Owned::Info(json.to_vec()),
        }
    }

    /// As a server writes it.
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Owned::Message { subject, sid, reply, headers, payload } => {
                out.extend_from_slice(if headers.is_empty() { b"MSG " } else { b"HMSG " });
                out.extend_from_slice(subject);
                out.extend_from_slice(format!(" {sid} ").as_bytes());
                out.extend_from_slice(reply);
                out.extend_from_slice(if reply.is_empty() { b"" } else { b" " });
                if !headers.is_empty() {
                    out.extend_from_slice(format!("{} ", headers.len()).as_bytes());
                }
                out.extend_from_slice(format!("{}\r\n", headers.len() + payload.len()).as_bytes());
                out.extend_from_slice(headers);
                out.extend_from_slice(payload);
                out.extend_from_slice(b"\r\n");
            }
            Owned::Ping => encode_ping(out),
            Owned::Pong => encode_pong(out),
            Owned::Ok => out.extend_from_slice(b"+OK\r\n"),
            Owned::Err(text) => out.extend_from_slice(&[b"-ERR '", &text[..], b"'\r\n"].concat()),
            Owned::Info(json) => out.extend_from_slice(&[b"INFO ", &json[..], b"\r\n"].concat()),
        }
    }
}

/// Reads all of `pieces` as a connection would: what is left of one is put before the next.
fn read(pieces: &[&[u8]]) -> Vec<Owned> {
    let mut held = Vec::new();
    let mut frames = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        while let Some((frame, used)) = parse(&held[at..], &ParserLimits::default()).unwrap() {
            frames.push(Owned::of(frame));
            at += used;
        }
        held.drain(..at);
    }
    assert!(held.is_empty());
    frames
}

fn any_frame() -> impl Strategy<Value = Owned> {
    let header = "(NATS/1.0( [0-9]{3}( [a-zA-Z ]{0,9})?)?\r\n([A-Za-z-]{1,9}: [ -~]{0,9}\r\n){0,3}\r\n)?";
    let subject = "[a-zA-Z$_0-9]{1,9}(\\.[a-zA-Z0-9-]{1,9}){0,4}";
    // Payloads that look like frames are the interesting ones.
    let payload = prop_oneof![
        "[\r\n MSGPIN+OK0-9'-]{0,40}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..300)
    ];
    let message = (
        subject,
        0..u64::pow(10, 18),
        prop_oneof![Just(String::new()), subject.prop_map(String::from), "[0-9]{1,5}"],
        header,
        payload,
    );
    prop_oneof![
        6 => message.prop_map(|(subject, sid, reply, headers, payload)| Owned::Message {
            subject: subject.into(), sid, reply: reply.into(), headers: headers.into(), payload,
        }),
        1 => Just(Owned::Ping),
        1 => Just(Owned::Pong),
        1 => Just(Owned::Ok),
        1 => "[A-Za-z \"]{1,20}[a-z]".prop_map(|text| Owned::Err(text.trim().into())),
        1 => "\\{[a-z\":0-9 ]{0,40}\\}".prop_map(|json| Owned::Info(json.into())),
    ]
}

fn written(frames: &[Owned]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut bytes));
    bytes
}

/// Everything that reads bytes of the server; none may panic.
fn read_everything(mut bytes: &[u8]) {
    let limits = ParserLimits { line: 200, info: 300, payload: 1000 };
    while let Ok(Some((frame, used))) = parse(bytes, &limits) {
        assert!(used > 0 && used <= bytes.len());
        match frame {
            Frame::Message(m) => {
                let _ = (AckReply::parse(m.reply), PullStatus::parse(m.headers, m.payload), status(m.headers));
                let _ = (AckReply::parse(m.payload), PubAck::parse(m.headers, m.payload), status(m.payload));
            }
            Frame::Info(json) => drop(ServerInfo::parse(json)),
            Frame::Err(text) => drop(ServerError::parse(text)),
            Frame::Ping | Frame::Pong | Frame::Ok => {}
        }
        bytes = &bytes[used..];
    }
}

fn recordings() -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let recordings: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "bin"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(recordings.len() >= 9);
    recordings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_split_in_two_gives_the_same_frames(frames in prop::collection::vec(any_frame(), 1..5)) {
        let bytes = written(&frames);
        for cut in 0..=bytes.len() {
            prop_assert_eq!(&read(&[&bytes[..cut], &bytes[cut..]]), &frames);
        }
    }

    #[test]
    fn any_pieces_give_the_same_frames(frames in prop::collection::vec(any_frame(), 1..12), size in 1_usize..50) {
        let bytes = written(&frames);
        let pieces: Vec<_> = bytes.chunks(size).collect();
        prop_assert_eq!(read(&pieces), frames);
    }

    #[test]
    fn what_is_published_is_what_is_delivered(frame in any_frame()) {
        // A publish differs from its delivery by the first word and the subscription id alone.
        if let Owned::Message { subject, reply, headers, payload, .. } = &frame {
            let mut published = Vec::new();
            encode_hpub(&mut published, subject, reply, headers, payload);
            let text = if headers.is_empty() { &b"PUB "[..] } else { b"HPUB " };
            let after = published.strip_prefix(text).unwrap().strip_prefix(&subject[..]).unwrap();
            let word = if headers.is_empty() { &b"MSG "[..] } else { b"HMSG " };
            let delivered = [word, subject, b" 9", after].concat();
            prop_assert_eq!(read(&[&delivered]), vec![match frame.clone() {
                Owned::Message { subject, reply, headers, payload, .. } => Owned::Message { subject, sid: 9, reply, headers, payload },
                other => other,
            }]);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_text_like_the_protocol_makes_it_panic(text in "((H?MSG|INFO|PING|PONG|[+]OK|-ERR|H|M|-)[ \t0-9a-z.\r\n{}'\"-]{0,30}(\r\n)?){0,6}") {
        read_everything(text.as_bytes());
    }

    #[test]
    fn no_mutation_of_a_recording_makes_it_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
    ) {
        let recordings = recordings();
        let mut bytes = which.get(&recordings).clone();
        for (place, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        read_everything(&bytes);
    }
}

#[test]
fn a_refusal_comes_with_the_first_bytes_that_deserve_it() {
    // Bytes of some other server are refused at once, not after a full line of 8 KiB.
    for bytes in [&b"H"[..], b"HT", b"SSH-2.0", b"\0", b"220 smtp"] {
        let refused = parse(bytes, &ParserLimits::default()).is_err();
        assert_eq!(refused, bytes != b"H", "{bytes:?}");
    }
}
