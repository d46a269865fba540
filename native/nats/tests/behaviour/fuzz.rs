//! A seeded stress run over the parser: recordings, cut, mixed and mutated. Nothing panics, and it
//! makes no difference in which pieces the bytes come.
//!
//! `VRSKY_FUZZ_SECONDS` says for how long (2 by default), `VRSKY_FUZZ_SEED` where to start. A
//! failure names the seed of its round; the same seed is the same round on every machine.

use std::time::{Duration, Instant};

use nats::jetstream::{AckReply, PubAck, PullStatus};
use nats::protocol::{Frame, ParserLimits, ServerError, ServerInfo, parse, status};

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"MSG ",
    b"HMSG ",
    b"MSG a 1 0\r\n\r\n",
    b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    b"INFO {}\r\n",
    b"PING\r\n",
    b"-ERR '",
    b"+OK\r\n",
    b"18446744073709551616",
    b"-1",
    b"$JS.ACK.a.b.1.2.3.4.5",
    b"NATS/1.0 408 \r\n",
    b"{\"stream\":\"",
    b"\",\"seq\":",
    b"\"error\":{\"err_code\":10077}",
    b"\xff\xfe",
];

#[test]
fn bytes_in_any_mixture_and_any_pieces() {
    let setting =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let end = Instant::now() + Duration::from_secs(setting("VRSKY_FUZZ_SECONDS", 2));
    let mut seed = setting("VRSKY_FUZZ_SEED", 1);
    let recordings = recordings();
    while Instant::now() < end {
        let failed = std::panic::catch_unwind(|| round(seed, &recordings));
        assert!(failed.is_ok(), "seed {seed}: run again with VRSKY_FUZZ_SEED={seed}");
        seed += 1;
    }
}

fn recordings() -> Vec<Vec<u8>> {
    let folder = format!("{}/tests/fixtures", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn round(seed: u64, recordings: &[Vec<u8>]) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = recordings[random.usize(..recordings.len())].clone();
    let start = random.usize(..bytes.len());
    bytes.drain(..if random.bool() { start } else { 0 });
    for _ in 0..random.usize(..8) {
        mutate(&mut random, &mut bytes);
    }
    let limits = match random.u8(..4) {
        0 => ParserLimits { line: random.usize(..60), info: random.usize(..400), payload: random.usize(..60) },
        _ => ParserLimits::default(),
    };
    let whole = read(&[&bytes], &limits);
    let mut pieces = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(40)));
        pieces.push(piece);
        rest = after;
    }
    assert_eq!(read(&pieces, &limits), whole, "{}", String::from_utf8_lossy(&bytes));
}

fn mutate(random: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    let at = random.usize(..=bytes.len());
    match random.u8(..5) {
        0 => bytes.insert(at, random.u8(..)),
        1 if at < bytes.len() => bytes[at] = random.u8(..),
        2 if at < bytes.len() => drop(bytes.remove(at)),
        3 => bytes.truncate(at),
        _ => drop(bytes.splice(at..at, PIECES[random.usize(..PIECES.len())].iter().copied())),
    }
}

/// The frames, as text, and whether it ended in a refusal. What is left of a piece waits for the next.
fn read(pieces: &[&[u8]], limits: &ParserLimits) -> (Vec<String>, bool) {
    let (mut held, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match parse(&held[at..], limits) {
                Ok(None) => break,
                Err(_) => return (frames, true),
                Ok(Some((frame, used))) => {
                    look_into(&frame);
                    frames.push(format!("{frame:?}"));
                    at += used;
                }
            }
        }
        held.drain(..at);
    }
    (frames, false)
}

/// Everything that reads what a frame holds.
fn look_into(frame: &Frame<'_>) {
    match frame {
        Frame::Message(m) => {
            for bytes in [m.subject, m.reply, m.headers, m.payload] {
                let _ = (AckReply::parse(bytes), PubAck::parse(m.headers, bytes), status(bytes));
                let _ = (PullStatus::parse(bytes, b""), ServerError::parse(bytes), ServerInfo::parse(bytes));
            }
        }
        Frame::Info(json) => drop(ServerInfo::parse(json)),
        Frame::Err(text) => drop(ServerError::parse(text)),
        Frame::Ping | Frame::Pong | Frame::Ok => {}
    }
}
