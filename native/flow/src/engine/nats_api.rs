//! What the shard asks of JetStream's API, one request each.

use std::collections::BTreeMap;
use std::time::Duration;

use message::{Code, Fault};
use nats::jetstream::ApiError;
use nats::protocol::status;
use nats::{Outbox, Reply};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Why something could not be learned.
#[derive(Clone, Debug)]
pub enum Unknown {
    /// Another request would wait as long.
    NoAnswer,
    /// Of this stream or consumer; it may be well with others.
    Refused(Fault),
}

#[derive(Deserialize)]
struct Answer<T> {
    error: Option<ApiError>,
    #[serde(flatten)]
    value: Option<T>,
}

async fn request<T: DeserializeOwned>(outbox: &Outbox, verb: &str, request: &str) -> Result<T, Unknown> {
    read(&ask(outbox, verb, request).await?.payload)
}

/// `verb`: a subject of the API, without its prefix.
async fn ask(outbox: &Outbox, verb: &str, request: &str) -> Result<Reply, Unknown> {
    let subject = outbox.api().subject(verb);
    outbox.request(&subject, request.as_bytes(), TIMEOUT).await.map_err(|_| Unknown::NoAnswer)
}

fn read<T: DeserializeOwned>(reply: &[u8]) -> Result<T, Unknown> {
    let answer: Answer<T> = serde_json::from_slice(reply).map_err(|_| unreadable())?;
    match answer {
        Answer { error: Some(error), .. } => Err(Unknown::Refused(error.fault())),
        Answer { value: Some(value), .. } => Ok(value),
        Answer { .. } => Err(unreadable()),
    }
}

fn unreadable() -> Unknown {
    Unknown::Refused(Fault::new(Code::NatsProtocol, "an answer of JetStream that is none"))
}

#[derive(Deserialize)]
struct StreamInfo {
    #[serde(default)]
    state: StreamState,
}

#[derive(Default, Deserialize)]
struct StreamState {
    #[serde(default)]
    last_seq: u64,
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}

impl StreamInfo {
    fn stored(self, subject: &str) -> u64 {
        self.state.subjects.get(subject).copied().unwrap_or(0)
    }
}

/// How many messages a stream holds under one subject; none when there is no such stream. Never asked for more than
/// one subject: 0.2 ms, where `>` costs 34 ms and 1.3 MB.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn stored(outbox: &Outbox, stream: &str, subject: &str) -> Result<u64, Unknown> {
    let filter = format!("{{\"subjects_filter\":\"{subject}\"}}");
    match request::<StreamInfo>(outbox, &format!("STREAM.INFO.{stream}"), &filter).await {
        Err(Unknown::Refused(fault)) if fault.code() == Code::NatsNoStream => Ok(0),
        info => info.map(|info| info.stored(subject)),
    }
}

/// The same, and the last sequence of the whole stream.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn stored_at(outbox: &Outbox, stream: &str, subject: &str) -> Result<(u64, u64), Unknown> {
    let filter = format!("{{\"subjects_filter\":\"{subject}\"}}");
    match request::<StreamInfo>(outbox, &format!("STREAM.INFO.{stream}"), &filter).await {
        Err(Unknown::Refused(fault)) if fault.code() == Code::NatsNoStream => Ok((0, 0)),
        info => info.map(|info| {
            let last_sequence = info.state.last_seq;
            (info.stored(subject), last_sequence)
        }),
    }
}

/// Whether there is such a stream.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn has_stream(outbox: &Outbox, stream: &str) -> Result<bool, Unknown> {
    match request::<StreamInfo>(outbox, &format!("STREAM.INFO.{stream}"), "").await {
        Err(Unknown::Refused(fault)) if fault.code() == Code::NatsNoStream => Ok(false),
        info => info.map(|_| true),
    }
}

/// How many messages a stream holds under each subject that `filter` matches; none when there is no such stream.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn stored_under(outbox: &Outbox, stream: &str, filter: &str) -> Result<BTreeMap<String, u64>, Unknown> {
    let filter = format!("{{\"subjects_filter\":\"{filter}\"}}");
    match request::<StreamInfo>(outbox, &format!("STREAM.INFO.{stream}"), &filter).await {
        Err(Unknown::Refused(fault)) if fault.code() == Code::NatsNoStream => Ok(BTreeMap::new()),
        info => info.map(|info| info.state.subjects),
    }
}

/// The payload of the last message under a subject; `None` when there is none. The stream allows direct gets.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn last_message(outbox: &Outbox, stream: &str, subject: &str) -> Result<Option<Vec<u8>>, Unknown> {
    let reply = ask(outbox, &format!("DIRECT.GET.{stream}.{subject}"), "").await?;
    match status(&reply.headers) {
        Some((404, _)) => Ok(None),
        Some((code, text)) => {
            let reason = format!("JetStream answered {code}: {}", String::from_utf8_lossy(text));
            Err(Unknown::Refused(Fault::new(Code::NatsRefused, reason)))
        }
        None => Ok(Some(reply.payload)),
    }
}

#[derive(Deserialize)]
struct StreamNames {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

/// The stream that listens on a subject, if there is one.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn stream_of(outbox: &Outbox, subject: &str) -> Result<Option<String>, Unknown> {
    let filter = format!("{{\"subject\":\"{subject}\"}}");
    let names: StreamNames = request(outbox, "STREAM.NAMES", &filter).await?;
    Ok(names.streams.unwrap_or_default().into_iter().next())
}

/// A consumer's work.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct ConsumerInfo {
    #[serde(default)]
    pub num_pending: u64,
    #[serde(default)]
    pub num_ack_pending: u64,
    #[serde(default)]
    pub delivered: Delivered,
}

/// What a consumer has delivered.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Delivered {
    #[serde(default)]
    pub consumer_seq: u64,
}

/// Makes a durable consumer of one subject, or finds it as it is. `life`: how long it stays without a pull; for ever
/// without it.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn make_consumer(
    outbox: &Outbox,
    stream: &str,
    consumer: &str,
    subject: &str,
    life: Option<Duration>,
) -> Result<ConsumerInfo, Unknown> {
    let life = life.map_or_else(String::new, |life| format!(",\"inactive_threshold\":{}", life.as_nanos()));
    let config = format!(
        "{{\"stream_name\":\"{stream}\",\"config\":{{\"durable_name\":\"{consumer}\",\"name\":\"{consumer}\",\
         \"ack_policy\":\"explicit\",\"ack_wait\":10000000000,\"max_deliver\":-1,\"max_ack_pending\":-1,\
         \"filter_subject\":\"{subject}\"{life}}}}}"
    );
    request(outbox, &format!("CONSUMER.CREATE.{stream}.{consumer}.{subject}"), &config).await
}

/// A consumer that is there.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn consumer_info(outbox: &Outbox, stream: &str, consumer: &str) -> Result<ConsumerInfo, Unknown> {
    request(outbox, &format!("CONSUMER.INFO.{stream}.{consumer}"), "").await
}

/// The answer to a request for a consumer that is there, and is not quite as the request says.
const CONSUMER_EXISTS: u32 = 10_148;

/// Makes a durable consumer that is gone; one that is there stays as it is. `subject`: its filter. `owner`: customer
/// and pipeline, where the stream is a user's. Gives whether it was gone.
///
/// # Errors
/// What the server says, or that it says nothing.
pub async fn restore_consumer(
    outbox: &Outbox,
    (stream, consumer): (&str, &str),
    subject: Option<&str>,
    owner: Option<(&str, &str)>,
) -> Result<bool, Unknown> {
    let mut config = json!({
        "durable_name": consumer, "name": consumer, "ack_policy": "explicit", "ack_wait": 10_000_000_000_u64,
        "max_deliver": -1, "max_ack_pending": -1,
    });
    if let Some(subject) = subject {
        config["filter_subject"] = json!(subject);
    }
    if let Some((customer, pipeline)) = owner {
        config["metadata"] = json!({"vrsky.customer": customer, "vrsky.pipeline": pipeline});
    }
    let body = json!({"stream_name": stream, "config": config, "action": "create"}).to_string();
    let reply = ask(outbox, &format!("CONSUMER.CREATE.{stream}.{consumer}"), &body).await?;
    match serde_json::from_slice(&reply.payload).map_err(|_| unreadable())? {
        Answer::<ConsumerInfo> { error: Some(error), .. } if error.err_code == CONSUMER_EXISTS => Ok(false),
        Answer { error: Some(error), .. } => Err(Unknown::Refused(error.fault())),
        // The same request finds it again; one that has delivered something was there all the time.
        Answer { value, .. } => Ok(value.is_some_and(|info| info.delivered.consumer_seq == 0)),
    }
}

/// Deletes a consumer; whether the server answered.
pub async fn delete_consumer(outbox: &Outbox, stream: &str, consumer: &str) -> bool {
    ask(outbox, &format!("CONSUMER.DELETE.{stream}.{consumer}"), "").await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_or_is_not_known() {
        let stored = |reply: &str| {
            let info = read::<StreamInfo>(reply.as_bytes());
            info.map(|info| info.stored("a.b")).map_err(|unknown| match unknown {
                Unknown::Refused(fault) => fault.code(),
                Unknown::NoAnswer => Code::NatsTimeout,
            })
        };
        assert_eq!(stored(r#"{"state":{"messages":9,"subjects":{"a.b":3}}}"#), Ok(3));
        assert_eq!(stored(r#"{"state":{"messages":9}}"#), Ok(0));
        let no_stream = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(stored(no_stream), Err(Code::NatsNoStream));
        assert!(stored(r#"{"error":{"code":503,"err_code":10008,"description":"no leader"}}"#).is_err());
        assert_eq!(stored("no JSON"), Err(Code::NatsProtocol));
    }

    #[test]
    fn the_stream_of_a_subject_is_the_first_of_its_names() {
        let names = |reply: &str| read::<StreamNames>(reply.as_bytes()).unwrap().streams;
        let reply = r#"{"type":"io.nats.jetstream.api.v1.stream_names_response","total":1,"offset":0,"limit":1024,"streams":["OUT"]}"#;
        assert_eq!(names(reply), Some(vec!["OUT".to_owned()]));
        assert_eq!(names(r#"{"total":0,"offset":0,"limit":1024,"streams":null}"#), None);
    }

    #[test]
    fn a_consumers_work_is_read() {
        let reply = r#"{"name":"c","num_pending":7,"num_ack_pending":2,"num_waiting":0}"#;
        assert_eq!(
            read::<ConsumerInfo>(reply.as_bytes()).unwrap(),
            ConsumerInfo { num_pending: 7, num_ack_pending: 2, delivered: Delivered::default() }
        );
    }
}
