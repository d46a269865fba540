//! Several messages in one request, and what its answer says of each.
//!
//! A server that answers 400, 413 or 422 may mean one message of many. So the batch is halved, and each half is sent,
//! until the bad one stands alone: `n` messages with one bad one are about `2 log2 n` requests. What else it says, it
//! says of all.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use message::{Code, Fault, Headers};

use super::answer::Answer;
use super::{BatchFormat, HttpSink};
use crate::contract::{Delivery, Outcome};
use crate::file::line::put_json;
use crate::hops::hops_of;

/// JSON may begin with it; within a body it would stand in the middle.
const BOM: &[u8] = b"\xef\xbb\xbf";

impl BatchFormat {
    pub(super) fn media(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            BatchFormat::Array => "application/json",
            BatchFormat::Ndjson => "application/x-ndjson",
        })
    }

    fn separator(self) -> u8 {
        match self {
            BatchFormat::Array => b',',
            BatchFormat::Ndjson => b'\n',
        }
    }
}

/// The messages of one URL that were posted equally often before, as they stand in a body. A request has one count of
/// that, and its receiver refuses all of it: whoever writes a high one ends his own message, not those of others.
pub(super) struct Frame<'b> {
    format: BatchFormat,
    url: Option<&'b str>,
    hops: u16,
    /// Each with a separator behind it.
    text: Vec<u8>,
    items: Vec<Item<'b>>,
}

struct Item<'b> {
    /// In the batch that the host has handed over.
    position: usize,
    delivery: &'b Delivery<'b>,
    text: Range<usize>,
}

/// One for each URL and count of posts, and the positions of the messages that are no JSON. `ordered`: of one URL, none
/// has a message that came before one of an earlier frame.
pub(super) fn frames<'b>(
    format: BatchFormat,
    batch: &'b [Delivery<'b>],
    ordered: bool,
) -> (Vec<Frame<'b>>, Vec<(usize, Outcome)>) {
    let (mut frames, mut refused) = (Vec::<Frame<'b>>::new(), Vec::new());
    for (position, delivery) in batch.iter().enumerate() {
        let (url, hops) = (delivery.address, hops_of(Headers::new(delivery.headers)));
        let known = frames.iter().rposition(|frame| frame.url == url && (ordered || frame.hops == hops));
        let at = known.filter(|at| frames[*at].hops == hops).unwrap_or_else(|| {
            frames.push(Frame { format, url, hops, text: Vec::new(), items: Vec::new() });
            frames.len() - 1
        });
        if let Err(fault) = frames[at].put(position, delivery) {
            refused.push((position, Outcome::Permanent(fault)));
        }
    }
    frames.retain(|frame| !frame.items.is_empty());
    (frames, refused)
}

impl<'b> Frame<'b> {
    fn put(&mut self, position: usize, delivery: &'b Delivery<'b>) -> Result<(), Fault> {
        let start = self.text.len();
        let payload = delivery.payload.strip_prefix(BOM).unwrap_or(delivery.payload);
        if !put_json(payload, delivery.content_type, &mut self.text) {
            let reason = "the payload is no JSON, and the out sends several messages as one JSON";
            return Err(Fault::new(Code::HttpBatchNotJson, reason));
        }
        let text = start..self.text.len();
        self.text.push(self.format.separator());
        self.items.push(Item { position, delivery, text });
        Ok(())
    }

    /// Of these messages, one at least.
    fn body(&self, items: &[Item<'_>]) -> Bytes {
        let (Some(first), Some(last)) = (items.first(), items.last()) else { return Bytes::new() };
        let text = &self.text[first.text.start..=last.text.end];
        match self.format {
            BatchFormat::Ndjson => Bytes::copy_from_slice(text),
            BatchFormat::Array => {
                let mut body = Vec::with_capacity(text.len() + 1);
                body.push(b'[');
                body.extend_from_slice(text);
                // In place of the last comma.
                body.pop();
                body.push(b']');
                body.into()
            }
        }
    }

    /// Sends them, in halves where the server refuses one of them. One outcome for each, with its position.
    pub(super) async fn send(&self, sink: &HttpSink) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(self.items.len());
        let mut waiting = vec![&self.items[..]];
        while let Some(items) = waiting.pop() {
            let answer = self.request(sink, items).await;
            if items.len() > 1 && may_mean_one(answer.status) {
                let (first, second) = items.split_at(items.len() / 2);
                waiting.extend([second, first]);
                continue;
            }
            let outcome = of_batch(answer.outcome, items.len());
            outcomes.extend(items.iter().map(|item| (item.position, outcome.clone())));
            // All have had this attempt, in the request that was halved.
            if sink.is_ordered() && is_again(&outcome) {
                let left = waiting.drain(..).flatten();
                outcomes.extend(left.map(|item| (item.position, outcome.clone())));
            }
        }
        outcomes
    }

    /// One outcome for each that was not sent, since an earlier one is tried again.
    fn held_up(&self, outcome: &Outcome) -> Vec<(usize, Outcome)> {
        self.items.iter().map(|item| (item.position, outcome.clone())).collect()
    }

    async fn request(&self, sink: &HttpSink, items: &[Item<'_>]) -> Answer {
        let deliveries: Vec<&Delivery<'_>> = items.iter().map(|item| item.delivery).collect();
        let media = self.format.media();
        match sink.template.batch(&sink.options, &deliveries, self.hops, media, self.body(items)) {
            Ok(request) => sink.send(request).await,
            Err(fault) => Outcome::Permanent(fault).into(),
        }
    }
}

/// Sends frames one by one; nothing overtakes what is tried again.
pub(super) async fn send_in_order(frames: &[Frame<'_>], sink: &HttpSink) -> Vec<(usize, Outcome)> {
    let mut outcomes = Vec::new();
    let mut again = None;
    for frame in frames {
        let sent = match &again {
            Some(outcome) => frame.held_up(outcome),
            None => frame.send(sink).await,
        };
        again = again.or_else(|| Some(&sent.iter().find(|(_, outcome)| is_again(outcome))?.1).cloned());
        outcomes.extend(sent);
    }
    outcomes
}

fn is_again(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { .. })
}

fn may_mean_one(status: Option<StatusCode>) -> bool {
    matches!(status, Some(StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY))
}

/// Whoever reads the dead letter of one learns that others were in the request.
fn of_batch(outcome: Outcome, messages: usize) -> Outcome {
    let more = |fault: Fault| match messages {
        0 | 1 => fault,
        _ => Fault::new(fault.code(), format!("{}; {messages} messages were in the request", fault.reason())),
    };
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Retry { fault, after } => Outcome::Retry { fault: more(fault), after },
        Outcome::Permanent(fault) => Outcome::Permanent(more(fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn json() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    /// A payload, and its value where it has one.
    fn message() -> impl Strategy<Value = (Bytes, Option<Value>)> {
        let fine = json().prop_map(|value| (Bytes::from(serde_json::to_vec_pretty(&value).unwrap()), Some(value)));
        let cut = json().prop_map(|value| (Bytes::from(format!("{value},")), None));
        prop_oneof![4 => fine, 1 => cut]
    }

    proptest! {
        #[test]
        fn a_body_has_the_values_of_its_messages_and_so_has_each_half(
            messages in proptest::collection::vec(message(), 0..12),
            is_array in any::<bool>(),
        ) {
            let format = if is_array { BatchFormat::Array } else { BatchFormat::Ndjson };
            let of = |payload| Delivery {
                id: "1", payload, content_type: "", customer: "acme", pipeline: "orders", headers: b"", address: None,
            };
            let batch: Vec<Delivery<'_>> = messages.iter().map(|(payload, _)| of(payload)).collect();
            let (frames, refused) = frames(format, &batch, is_array);
            let values: Vec<Value> = messages.iter().filter_map(|(_, value)| value.clone()).collect();
            prop_assert_eq!(refused.len(), messages.len() - values.len());
            prop_assert_eq!(frames.len(), usize::from(!values.is_empty()));
            let read = |body: &[u8]| match format {
                BatchFormat::Array => serde_json::from_slice::<Vec<Value>>(body).unwrap(),
                BatchFormat::Ndjson => {
                    let lines = std::str::from_utf8(body).unwrap().strip_suffix('\n').unwrap().split('\n');
                    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
                }
            };
            for frame in &frames {
                prop_assert_eq!(&read(&frame.body(&frame.items)), &values);
                for at in 1..frame.items.len() {
                    let (one, other) = frame.items.split_at(at);
                    prop_assert_eq!(&read(&frame.body(one)), &values[..at]);
                    prop_assert_eq!(&read(&frame.body(other)), &values[at..]);
                }
            }
        }
    }
}
