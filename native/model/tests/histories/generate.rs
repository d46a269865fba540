//! Histories from seeds.

use fastrand::Rng;

use crate::steps::{History, Step};

const SUBJECTS: [&str; 3] = ["a", "b", "c.d"];

/// What differs between kinds of histories.
#[derive(Clone, Copy)]
struct Kind {
    /// `duplicate_window` and `ack_wait`, milliseconds.
    windows: (u64, u64),
    ages: bool,
}

/// One in ten is of core NATS.
pub fn history(seed: u64) -> History {
    let mut rng = Rng::with_seed(seed);
    if seed % 10 == 9 {
        return core(seed, &mut rng);
    }
    let ages = seed % 20 == 8;
    // A redelivery just before its message expires could come from one server alone.
    let ack_wait = if ages { 5_000 } else { rng.u64(2..=4) * 100 };
    let kind = Kind { windows: (rng.u64(2..=4) * 100, ack_wait), ages };
    let count = if ages { rng.usize(8..14) } else { rng.usize(10..40) };
    let steps = jetstream(&mut rng, kind, count);
    // The server's clock of ages is 100 ms late, and it looks every 250 ms.
    History { seed, user: None, steps, blur_ms: if ages { 700 } else { 30 } }
}

/// Ids are remembered for as long as the history takes; a restart comes between the two.
pub fn around_restart(seed: u64) -> (History, Vec<Step>) {
    let mut rng = Rng::with_seed(seed);
    let kind = Kind { windows: (60_000, rng.u64(2..=4) * 100), ages: false };
    let count = rng.usize(8..20);
    let steps = jetstream(&mut rng, kind, count);
    let later = (0..rng.usize(6..12)).map(|_| step(&mut rng, kind)).collect();
    (History { seed, user: None, steps, blur_ms: 30 }, later)
}

/// Of core NATS; the client's permissions change between the two.
pub fn around_change(seed: u64) -> (History, Vec<Step>) {
    let mut rng = Rng::with_seed(seed);
    let mut steps = |count| (0..count).map(|_| Step::Raw(core_step(&mut rng))).collect::<Vec<_>>();
    let (before, later) = (steps(12), steps(12));
    (History { seed, user: Some("limited"), steps: before, blur_ms: 30 }, later)
}

fn jetstream(rng: &mut Rng, kind: Kind, count: usize) -> Vec<Step> {
    let mut steps = vec![create_stream(rng, kind), create_consumer(rng, kind, "c0")];
    while steps.len() < count {
        steps.push(step(rng, kind));
    }
    steps
}

fn step(rng: &mut Rng, kind: Kind) -> Step {
    match rng.u8(0..100) {
        0..26 => publish(rng),
        26..48 => pull(rng),
        48..70 => ack(rng),
        70..78 => Step::Wait(pick(rng, &[30, 120, 250, 450])),
        78..82 => api("STREAM.INFO.S%", pick(rng, &["", r#"{"subjects_filter":">","deleted_details":true}"#])),
        82..87 => api(&format!("CONSUMER.INFO.S%.{}", consumer(rng)), ""),
        87..90 => rare_request(rng),
        90..92 => purge(rng),
        92..94 => api("STREAM.MSG.DELETE.S%", &format!(r#"{{"seq":{}}}"#, rng.u8(0..9))),
        94..96 => {
            let name = consumer(rng);
            create_consumer(rng, kind, name)
        }
        96 => api(&format!("CONSUMER.DELETE.S%.{}", consumer(rng)), ""),
        97 => update_stream(rng, kind),
        98 => Step::Raw(pick(rng, &["UNSUB 2\r\n", "SUB d% 2\r\n", "SUB d% 2\r\n"]).into()),
        _ => pick(rng, &[api("STREAM.DELETE.S%", ""), create_stream(&mut rng.clone(), kind)]),
    }
}

fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())].clone()
}

fn api(verb: &str, body: &str) -> Step {
    Step::Api { verb: verb.into(), body: body.into() }
}

fn consumer(rng: &mut Rng) -> &'static str {
    pick(rng, &["c0", "c0", "c0", "c1"])
}

fn subject(rng: &mut Rng) -> String {
    format!("s%.{}", pick(rng, &SUBJECTS))
}

fn publish(rng: &mut Rng) -> Step {
    let mut headers: Vec<(&str, String)> = Vec::new();
    if rng.u8(..3) == 0 {
        headers.push(("Nats-Msg-Id", format!("id-{}", rng.u8(0..4))));
    }
    if rng.u8(..8) == 0 {
        headers.push(match rng.u8(0..7) {
            0 => ("Nats-Expected-Stream", "S%".into()),
            1 => ("Nats-Expected-Stream", "T".into()),
            2 => ("Nats-Expected-Last-Subject-Sequence", rng.u8(0..4).to_string()),
            3 => ("Nats-Expected-Last-Sequence", rng.u8(0..6).to_string()),
            4 => ("Nats-Expected-Last-Msg-Id", format!("id-{}", rng.u8(0..4))),
            5 => ("Nats-Rollup", "all".into()),
            _ => ("Other", "x".into()),
        });
    }
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let payload = "x".repeat(pick(rng, &[0, 1, 5, 40, 90]));
    Step::Publish { subject: subject(rng), headers, payload }
}

/// Times that do not meet those of `ack_wait` and NAKs: on the server, either could come first.
fn pull(rng: &mut Rng) -> Step {
    let batch = pick(rng, &[1, 1, 2, 5]);
    let body = match rng.u8(0..12) {
        0 => String::new(),
        1 => batch.to_string(),
        2 => format!(r#"{{"batch":{batch}}}"#),
        3..6 => format!(r#"{{"batch":{batch},"no_wait":true}}"#),
        6 => format!(r#"{{"batch":{batch},"no_wait":true,"expires":337000000}}"#),
        7 => format!(r#"{{"batch":{batch},"expires":337000000,"max_bytes":{}}}"#, pick(rng, &[50, 100, 200, 1000])),
        8 => format!(r#"{{"batch":{batch},"expires":437000000,"idle_heartbeat":140000000}}"#),
        9 => format!(r#"{{"batch":{batch},"expires":100000000,"idle_heartbeat":90000000}}"#),
        10 => format!(r#"{{"batch":{batch},"expires":237000000}}"#),
        _ => pick(rng, &["{", r#"{"batch":0}"#, r#"{"batch":1,"expires":-5}"#]).into(),
    };
    Step::Pull { consumer: consumer(rng).into(), body }
}

fn ack(rng: &mut Rng) -> Step {
    let payload = match rng.u8(0..12) {
        0..5 => "",
        5 => "+ACK",
        6 => "-NAK",
        7 => "-NAK {\"delay\": 150000000}",
        8 => "-NAK {\"delay\": 400000000}",
        9 | 10 => "+WPI",
        _ => "+TERM because",
    };
    Step::Ack { nth: pick(rng, &[0, 0, 0, 1, 1, 2, 4]), payload: payload.into(), double: rng.u8(..3) > 0 }
}

fn rare_request(rng: &mut Rng) -> Step {
    let own = subject(rng);
    match rng.u8(0..11) {
        0 => api("STREAM.MSG.GET.S%", &format!(r#"{{"last_by_subj":"{own}"}}"#)),
        1 => api("STREAM.MSG.GET.S%", &format!(r#"{{"seq":{}}}"#, rng.u8(0..6))),
        2 => api("STREAM.MSG.GET.S%", &format!(r#"{{"seq":{},"next_by_subj":"s%.>"}}"#, rng.u8(0..6))),
        3 => api(&format!("DIRECT.GET.S%.{own}"), ""),
        4 => api("DIRECT.GET.S%", &format!(r#"{{"seq":{}}}"#, rng.u8(0..6))),
        5 => api("CONSUMER.NAMES.S%", ""),
        6 => api("CONSUMER.LIST.S%", ""),
        7 => api("STREAM.NAMES", &format!(r#"{{"subject":"{own}"}}"#)),
        8 => api("STREAM.LIST", r#"{"subject":"s%.*"}"#),
        9 => api("STREAM.CREATE.T%", r#"{"name":"T%","subjects":["s%.a"]}"#),
        _ => pick(
            rng,
            &[
                api("STREAM.INFO.T%", ""),
                api("CONSUMER.INFO.S%.c0", "x"),
                api("STREAM.CREATE.S%", "{"),
                api("STREAM.CREATE.S%", r#"{"name":"S%","nonsense":1}"#),
                api("STREAM.PURGE.T%", ""),
                api("NONSENSE", ""),
            ],
        ),
    }
}

fn purge(rng: &mut Rng) -> Step {
    let own = subject(rng);
    let body = match rng.u8(0..5) {
        0 => String::new(),
        1 => format!(r#"{{"filter":"{own}"}}"#),
        2 => format!(r#"{{"seq":{}}}"#, rng.u8(1..8)),
        3 => format!(r#"{{"filter":"{own}","keep":1}}"#),
        _ => r#"{"filter":"s%.*","seq":3}"#.into(),
    };
    api("STREAM.PURGE.S%", &body)
}

fn stream_body(rng: &mut Rng, kind: Kind, retention: &str) -> String {
    let discard = pick(rng, &["old", "new"]);
    let mut limits = match rng.u8(0..8) {
        0 => r#","max_msgs":3"#.to_owned(),
        1 => r#","max_msgs_per_subject":2"#.to_owned(),
        2 => r#","max_bytes":200"#.to_owned(),
        3 => r#","max_msg_size":60"#.to_owned(),
        4 if discard == "new" => r#","max_msgs_per_subject":2,"discard_new_per_subject":true"#.to_owned(),
        5 => r#","max_msgs":4,"max_msgs_per_subject":1"#.to_owned(),
        _ => String::new(),
    };
    let mut window = kind.windows.0;
    if kind.ages {
        window = window.min(300);
        limits += r#","max_age":300000000"#;
    }
    if rng.bool() {
        limits += r#","allow_direct":true"#;
    }
    format!(
        r#"{{"name":"S%","subjects":["s%.>"],"retention":"{retention}","storage":"file","discard":"{discard}","duplicate_window":{}{limits}}}"#,
        window * 1_000_000
    )
}

fn create_stream(rng: &mut Rng, kind: Kind) -> Step {
    let retention = pick(rng, &["workqueue", "workqueue", "limits"]);
    let body = stream_body(rng, kind, retention);
    api("STREAM.CREATE.S%", &body)
}

fn update_stream(rng: &mut Rng, kind: Kind) -> Step {
    let retention = pick(rng, &["workqueue", "limits"]);
    let body = stream_body(rng, kind, retention);
    api("STREAM.UPDATE.S%", &body)
}

fn create_consumer(rng: &mut Rng, kind: Kind, name: &str) -> Step {
    let mut more = match rng.u8(0..8) {
        0 => format!(r#","filter_subject":"s%.{}""#, pick(rng, &SUBJECTS)),
        1 => r#","filter_subjects":["s%.a","s%.b"]"#.to_owned(),
        2 => r#","filter_subject":"s%.*""#.to_owned(),
        _ => String::new(),
    };
    more += pick(rng, &["", "", r#","max_deliver":2"#, r#","max_deliver":3"#, r#","max_deliver":1"#]);
    // What expires late on the server would let a consumer go on late.
    if !kind.ages {
        more += pick(rng, &["", r#","max_ack_pending":-1"#, r#","max_ack_pending":1"#, r#","max_ack_pending":2"#]);
    }
    more += pick(rng, &["", "", "", r#","max_waiting":1"#, r#","max_batch":2"#, r#","deliver_policy":"new""#]);
    let action = pick(rng, &["", "", "", r#","action":"create""#, r#","action":"update""#]);
    let wait = kind.windows.1 * 1_000_000;
    let body = format!(
        r#"{{"stream_name":"S%","config":{{"durable_name":"{name}","name":"{name}","ack_policy":"explicit","ack_wait":{wait}{more}}}{action}}}"#
    );
    api(&format!("CONSUMER.CREATE.S%.{name}"), &body)
}

/// Subscriptions, groups, permissions, limits.
fn core(seed: u64, rng: &mut Rng) -> History {
    let user = pick(rng, &[None, Some("limited")]);
    let steps = (0..rng.usize(10..30)).map(|_| Step::Raw(core_step(rng))).collect();
    History { seed, user, steps, blur_ms: 30 }
}

fn core_step(rng: &mut Rng) -> String {
    let subject = pick(rng, &["%.open.a", "%.open.closed", "%.open.hidden", "%.secret", "%.open.x.y", "%.open..a"]);
    let sid = rng.u8(3..7);
    match rng.u8(0..20) {
        0..4 => format!("SUB {} {sid}\r\n", pick(rng, &["%.open.a", "%.open.*", "%.open.>", "%.*", "%.secret"])),
        4 => format!("SUB {} {sid}\r\n", pick(rng, &["%.open.hidden", "%.>.a", "%..a", "%.open.a*"])),
        5..7 => format!("SUB %.open.* q {}\r\n", rng.u8(50..53)),
        7 => format!("UNSUB {sid}\r\n"),
        8 => format!("UNSUB {sid} {}\r\n", rng.u8(1..4)),
        9..13 => format!("PUB {subject} 2\r\nhi\r\n"),
        13..15 => format!("PUB {subject} r%.0 2\r\nhi\r\n"),
        15..17 => format!("HPUB {subject} 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nhi\r\n"),
        17 => pick(rng, &["PING\r\n", "\r\n", "+OK\r\n", "pub %.open.a 0\r\n\r\n"]).into(),
        18 => format!("UNSUB {}\r\n", rng.u8(50..53)),
        _ if rng.u8(..3) > 0 => String::new(),
        _ => pick(rng, &["PUB %.open.a 4097\r\n", "NONSENSE\r\n", "PUB %.open.a 1\r\nxyz\r\n", "PUB %.open.a\r\n"])
            .into(),
    }
}
