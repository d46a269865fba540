//! What a real server said, recorded in `fixtures/`, read by the parser whole and cut at every byte.

use message::{Code, Headers};
use nats::jetstream::{AckReply, PubAck, PullEnd, PullStatus};
use nats::protocol::{Frame, ParserLimits, ServerError, ServerInfo, parse};

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((frame, used)) = parse(bytes, &ParserLimits::default()).unwrap() {
        frames.push(frame);
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty(), "left over: {}", String::from_utf8_lossy(bytes));
    frames
}

#[test]
fn no_prefix_of_a_recording_is_an_error_or_another_frame() {
    for name in ["core", "jetstream", "pub_acks", "domain", "error_permissions", "error_max_payload"] {
        let bytes = recorded(name);
        let mut start = 0;
        while start < bytes.len() {
            let (whole, used) = parse(&bytes[start..], &ParserLimits::default()).unwrap().unwrap();
            for end in start..start + used {
                assert_eq!(parse(&bytes[start..end], &ParserLimits::default()), Ok(None), "{name} {start}..{end}");
            }
            let next = (start + used + 7).min(bytes.len());
            assert_eq!(parse(&bytes[start..next], &ParserLimits::default()), Ok(Some((whole, used))));
            start += used;
        }
    }
}

#[test]
fn core_messages() {
    let bytes = recorded("core");
    let frames = frames(&bytes);
    let Frame::Info(json) = frames[0] else { panic!("{:?}", frames[0]) };
    let info = ServerInfo::parse(json).unwrap();
    assert_eq!((&*info.version, &*info.server_name), ("2.15.1", "recorded"));
    assert!(info.headers && info.jetstream && info.auth_required && !info.tls_required && !info.ldm);
    assert_eq!(info.max_payload, 4096);

    let messages: Vec<_> = frames
        .iter()
        .filter_map(|frame| match frame {
            Frame::Message(m) => Some((text(m.subject), m.sid, text(m.reply), text(m.headers), text(m.payload))),
            _ => None,
        })
        .collect();
    let no_responders = "NATS/1.0 503\r\nNats-Subject: nobody.listens\r\n\r\n";
    assert_eq!(
        messages,
        [
            ("orders.a", 1, "", "", "hello"),
            ("orders.b", 1, "_INBOX.r", "", ""),
            ("orders.c", 1, "", "NATS/1.0\r\nCustomer-ID: acme\r\n\r\n", "<order/>"),
            ("orders.d", 1, "_INBOX.r", "NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n", ""),
            ("orders.e", 1, "", "", "PING\r\nMSG a 1 2\r\n"),
            ("_INBOX.n", 27, "", no_responders, ""),
        ]
    );
}

#[test]
fn deliveries_and_the_ends_of_pulls() {
    let bytes = recorded("jetstream");
    let mut delivered = Vec::new();
    let mut statuses = Vec::new();
    for frame in frames(&bytes) {
        let Frame::Message(m) = frame else { continue };
        if let Some(status) = PullStatus::parse(m.headers, m.payload) {
            statuses.push((text(m.subject), status));
        } else if let Some(ack) = AckReply::parse(m.reply) {
            assert_eq!((ack.stream, ack.consumer, ack.domain), (&b"IN"[..], &b"logic"[..], None));
            assert!(ack.timestamp_ns > 1_700_000_000_000_000_000);
            delivered.push((text(m.subject), ack.delivered, ack.stream_sequence, ack.consumer_sequence, ack.pending));
        } else {
            assert_eq!(PubAck::parse(m.headers, m.payload).unwrap().stream, "IN");
        }
    }
    assert_eq!(delivered, [("in.0", 1, 1, 1, 2), ("in.1", 1, 2, 2, 1), ("in.2", 1, 3, 3, 0), ("in.big", 1, 4, 4, 0)]);
    let ended = |reason, pending_messages, pending_bytes| PullStatus::Ended { reason, pending_messages, pending_bytes };
    let expected = [
        ("_INBOX.p.2", ended(PullEnd::Expired, 7, 0)),
        ("_INBOX.p.3", ended(PullEnd::NoMessages, 0, 0)),
        ("_INBOX.p.4", PullStatus::Heartbeat),
        ("_INBOX.p.4", ended(PullEnd::Expired, 9, 0)),
        ("_INBOX.p.5", ended(PullEnd::MaxBytes, 9, 100)),
        ("_INBOX.w.2", ended(PullEnd::LimitExceeded, 0, 0)),
        ("_INBOX.p.7", ended(PullEnd::BadRequest, 0, 0)),
        ("_INBOX.w.0", ended(PullEnd::ConsumerDeleted, 0, 0)),
        ("_INBOX.w.1", ended(PullEnd::ConsumerDeleted, 0, 0)),
        ("_INBOX.gone", ended(PullEnd::NoResponders, 0, 0)),
    ];
    // How many heartbeats come depends on the clock.
    statuses.dedup();
    assert_eq!(statuses, expected);
}

#[test]
fn a_domain_makes_the_reply_subject_longer_or_not_at_all() {
    let bytes = recorded("domain");
    let delivered = frames(&bytes).into_iter().find_map(|frame| match frame {
        Frame::Message(m) => AckReply::parse(m.reply),
        _ => None,
    });
    let ack = delivered.unwrap();
    assert_eq!((ack.stream, ack.consumer, ack.delivered), (&b"IN"[..], &b"logic"[..], 1));
    let stored = frames(&bytes).into_iter().find_map(|frame| match frame {
        Frame::Message(m) if m.reply.is_empty() => Some(PubAck::parse(m.headers, m.payload).unwrap().sequence),
        _ => None,
    });
    assert_eq!(stored, Some(1));
}

#[test]
fn answers_to_publishes() {
    let bytes = recorded("pub_acks");
    let mut answers = Vec::new();
    for frame in frames(&bytes) {
        let Frame::Message(m) = frame else { continue };
        let answer =
            PubAck::parse(m.headers, m.payload).map(|ack| (ack.stream.into_owned(), ack.sequence, ack.duplicate));
        answers.push(answer.map_err(|fault| fault.code()));
    }
    assert_eq!(
        answers,
        [
            Ok(("TIER".into(), 1, false)),
            Ok(("TIER".into(), 1, true)),
            Err(Code::LimitBacklog),
            Ok(("FULL".into(), 1, false)),
            Err(Code::NatsStreamFull),
            Err(Code::NatsMaxPayload),
            Err(Code::NatsRefused),
            Err(Code::NatsNoStream),
            Err(Code::NatsNoStream),
        ]
    );
}

#[test]
fn complaints() {
    let complaints = |name: &str| -> Vec<ServerError> {
        let bytes = recorded(name);
        let errors = frames(&bytes).into_iter().filter_map(|frame| match frame {
            Frame::Err(text) => Some(ServerError::parse(text)),
            _ => None,
        });
        errors.collect()
    };
    assert_eq!(
        complaints("error_authorization"),
        [ServerError::AuthorizationViolation("Authorization Violation".into())]
    );
    assert_eq!(complaints("error_max_payload"), [ServerError::MaximumPayload]);
    assert_eq!(
        complaints("error_permissions"),
        [
            ServerError::PermissionsViolation("Permissions Violation for Publish to \"forbidden\"".into()),
            ServerError::PermissionsViolation("Permissions Violation for Subscription to \"forbidden\"".into()),
        ]
    );
    assert_eq!(complaints("error_protocol"), [ServerError::Other("Unknown Protocol Operation".into())]);
    assert_eq!(complaints("error_max_connections"), [ServerError::Other("maximum connections exceeded".into())]);
}

#[test]
fn headers_of_a_recorded_message_are_read_by_name() {
    let bytes = recorded("jetstream");
    let id = frames(&bytes).into_iter().find_map(|frame| match frame {
        Frame::Message(m) if m.subject == b"in.1" => Headers::new(m.headers).get_str("nats-msg-id"),
        _ => None,
    });
    assert_eq!(id, Some("1"));
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
