//! What a client sees, without what cannot be the same on two servers: times and names.

use nats::protocol::{Frame, Message, status};
use serde_json::Value;

/// What the members of a queue group have got.
pub const GROUP: &str = "group";
/// Subscriptions that are not permitted any more.
pub const ENDED: &str = "ended";

/// Something that a client has seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What comes one after the other: a subscription, errors.
    pub channel: String,
    pub text: String,
    /// The reply subject of a delivery.
    pub ack: Option<String>,
}

/// `None`: nothing to compare.
pub fn seen(frame: &Frame<'_>, number: &str) -> Option<Seen> {
    let plain = |channel: &str, text: String| Some(Seen { channel: channel.into(), text, ack: None });
    match frame {
        Frame::Pong => plain("PONG", String::new()),
        Frame::Ok => plain("ok", "+OK".into()),
        Frame::Err(text) => {
            let text = String::from_utf8_lossy(text).replace(number, "#");
            // Subscriptions that a change of permissions ends come in no order.
            plain(if text.contains("(sid ") { ENDED } else { "errors" }, text)
        }
        Frame::Message(message) => Some(message_seen(message, number)),
        Frame::Info(_) | Frame::Ping => None,
    }
}

fn message_seen(message: &Message<'_>, number: &str) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(number, "#");
    let (subject, headers) = (text(message.subject), headers(&text(message.headers)));
    let raw_reply = String::from_utf8_lossy(message.reply).into_owned();
    let is_delivery = raw_reply.starts_with("$JS.ACK.");
    let reply = if is_delivery { delivery(&raw_reply.replace(number, "#")) } else { text(message.reply) };
    let payload = match serde_json::from_slice::<Value>(message.payload) {
        Ok(Value::Object(fields)) if subject.starts_with("r#") => json(Value::Object(fields)).replace(number, "#"),
        _ => text(message.payload),
    };
    let code = status(message.headers).map_or_else(String::new, |(code, _)| format!("[{code}]"));
    // Members of a group are chosen at random: these share a channel.
    let channel = match message.sid {
        50.. => GROUP.to_owned(),
        sid => format!("sid {sid}"),
    };
    let text = format!("{code} {subject} {reply} {headers} {payload}");
    Seen { channel, text, ack: is_delivery.then_some(raw_reply) }
}

/// A delivery's numbers, without its time.
fn delivery(reply: &str) -> String {
    let mut tokens: Vec<&str> = reply.split('.').collect();
    if let Some(time) = tokens.get_mut(7) {
        *time = "time";
    }
    tokens.join(".")
}

fn headers(block: &str) -> String {
    let kept = block.split("\r\n").map(|line| match line {
        line if line.starts_with("Nats-Subject: $JS.ACK.") => "Nats-Subject: an ack's",
        line if line.starts_with("Nats-Time-Stamp:") => "Nats-Time-Stamp: time",
        // The texts of JSON errors are Go's.
        line if line.starts_with("NATS/1.0 400 Bad Request - ") && !line.contains("heartbeat") => "NATS/1.0 400",
        line => line,
    });
    kept.collect::<Vec<_>>().join("|")
}

/// An answer without its times, in one order.
fn json(mut value: Value) -> String {
    const TIMES: [&str; 8] = ["created", "ts", "first_ts", "last_ts", "last_active", "time", "cluster", "api"];
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !TIMES.contains(&name.as_str()));
                if fields.get("err_code").is_some_and(|code| code == 10025) {
                    fields.shift_remove("description");
                }
                fields.values_mut().for_each(strip);
                fields.sort_keys();
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value.to_string()
}
