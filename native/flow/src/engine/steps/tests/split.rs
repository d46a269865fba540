//! Runs of steps that are served from lanes of their own: what one hands over to the next.
//!
//! That a message becomes the same as where its steps are run in one go is what every test of this folder looks at, by
//! `Shard::run` and `Shard::resume`.

use message::Headers;
use serde_json::json;

use super::*;
use crate::engine::settlement::{HandedOver, ParsedHeaders};

impl Shard {
    /// Runs everything that was handed over, until nothing is. Gives what was published beside that.
    pub(super) fn run_all(&mut self) -> Vec<Frame> {
        let mut published = Vec::new();
        loop {
            self.run_scripts(|_| 0);
            let (handed, sent): (Vec<_>, Vec<_>) = self.sent().into_iter().partition(Frame::is_handed_over);
            published.extend(sent);
            if handed.is_empty() {
                return published;
            }
            handed.iter().for_each(|frame| self.begin_handed(frame, false));
        }
    }

    /// As a lane brings it. `anew`: under another revision.
    fn begin_handed(&mut self, frame: &Frame, anew: bool) {
        let (input, revision) = (self.open(), Rc::clone(&self.revision));
        let outer = ParsedHeaders::of(Headers::new(&frame.headers));
        let handed = HandedOver::read(&frame.bytes).unwrap();
        let came = ParsedHeaders::of(Headers::new(handed.block));
        // Not in the headers of `envelope`.
        let content_type = self.content_type.clone();
        let envelope = Envelope {
            id: outer.id.unwrap(),
            part: outer.part.unwrap(),
            redrive: outer.redrive,
            resume: outer.resume,
            headers: Headers::new(handed.block),
            foreign: came.foreign,
            content_type: &content_type,
            time_ms: outer.time_ms.unwrap(),
            ..envelope(&revision.owner, input)
        };
        let handed_to = Handed {
            brought_by: outer.publish_id.unwrap(),
            restarts: handed.restarts + u64::from(anew),
            fan_out: (!anew).then_some(handed.fan_out),
        };
        self.steps.run(&mut self.settlement, &revision, &envelope, handed.source, Some(&handed_to));
    }
}

impl Frame {
    fn is_handed_over(&self) -> bool {
        self.header("Vrsky-Handover").is_some()
    }
}

/// A run of each kind, twice.
fn four_runs() -> Shard {
    let split = code("msg.lines.map(n => ({n}))");
    let steps = json!([{"filter": "msg.lines != null"}, split, {"filter": "n != 2"}, {"set": {"m": "n + 1"}}]);
    Shard::new(&steps, &stdout(), &json!({}))
}

#[test]
fn each_run_hands_over_to_the_lane_of_the_next_one_and_publishes_nothing_else() {
    let mut shard = *four_runs().split.unwrap();
    shard.begin("application/json", r#"{"lines": [1, 2, 3]}"#);
    let mut subjects = Vec::new();
    loop {
        shard.run_scripts(|_| 0);
        let sent = shard.sent();
        subjects.extend(sent.iter().map(|frame| frame.subject.clone()));
        let handed: Vec<_> = sent.into_iter().filter(Frame::is_handed_over).collect();
        let Some(frame) = handed.first() else { break };
        assert_eq!(handed.len(), 1);
        // What came travels along, whatever was made of it.
        assert_eq!(HandedOver::read(&frame.bytes).unwrap().source, br#"{"lines": [1, 2, 3]}"#);
        assert_eq!((frame.header("Customer-ID"), frame.header("Vrsky-Id")), (Some("acme"), Some("acme.1")));
        shard.begin_handed(frame, false);
    }
    let lane = |rest: &str| format!("vrsky.{rest}");
    assert_eq!(
        subjects,
        [
            lane("converter.t1000.0.acme.orders.1:script"),
            lane("filter.t1000.0.acme.orders.2:filter"),
            lane("converter.t1000.0.acme.orders.3:set"),
            lane("outgoing.t1000.0.acme.orders.default"),
            lane("outgoing.t1000.0.acme.orders.default"),
        ]
    );
    assert_eq!((shard.count(Metric::Filtered), shard.count(Metric::Emitted)), (1, 2));
}

#[test]
fn a_message_that_no_step_has_changed_is_handed_over_as_its_own_bytes_alone() {
    let steps = json!([{"filter": "a == 1"}, {"convert": {"from": "json"}}, {"filter": "a == 1"}]);
    let mut shard = *Shard::new(&steps, &stdout(), &json!({})).split.unwrap();
    let payload = r#"{ "a":1 }"#;
    shard.begin("application/json", payload);
    let sent = shard.sent();
    let handed = HandedOver::read(&sent[0].bytes).unwrap();
    assert_eq!(handed.source, payload.as_bytes());
    assert!(handed.fan_out.len() < 16, "{:?}", handed.fan_out);
    shard.begin_handed(&sent[0], false);
    let sent = shard.sent();
    assert!(HandedOver::read(&sent[0].bytes).unwrap().fan_out.len() < 16);
}

#[test]
fn what_is_handed_over_again_has_the_same_id_and_what_begins_anew_another_one() {
    let mut shard = *four_runs().split.unwrap();
    let mut first = || {
        shard.begin("application/json", r#"{"lines": [1]}"#);
        shard.sent().remove(0)
    };
    let (one, again) = (first(), first());
    assert_eq!(one.header("Nats-Msg-Id"), again.header("Nats-Msg-Id"));
    shard.begin_handed(&one, true);
    let anew = shard.sent().remove(0);
    assert_eq!(anew.subject, one.subject);
    assert_ne!(anew.header("Nats-Msg-Id"), one.header("Nats-Msg-Id"));
    assert_eq!(HandedOver::read(&anew.bytes).unwrap().restarts, 1);
}

#[test]
fn a_message_that_begins_anew_again_and_again_is_run_to_its_end_where_it_is() {
    let mut shard = four_runs();
    let fused = shard.run("application/json", r#"{"lines": [1, 2, 3]}"#);
    let mut shard = *shard.split.unwrap();
    shard.begin("application/json", r#"{"lines": [1, 2, 3]}"#);
    let mut hops = 0;
    let published = loop {
        shard.run_scripts(|_| 0);
        let sent = shard.sent();
        if !sent[0].is_handed_over() {
            break sent;
        }
        hops += 1;
        shard.begin_handed(&sent[0], true);
    };
    assert_eq!((hops, published), (3, fused));
}

#[test]
fn what_is_too_large_for_a_lane_goes_on_where_it_is() {
    let steps = json!([code("({...msg, more: 'x'.repeat(40_000)})"), {"filter": "n == 1"}, {"set": {"more": "1"}}]);
    let mut shard = Shard::new(&steps, &stdout(), &json!({}));
    shard.split.as_mut().unwrap().settlement.subscribe(40_000, &mut Vec::new());
    let payload = format!(r#"{{"n": 1, "padding": "{}"}}"#, "y".repeat(20_000));
    assert_eq!(shard.run("application/json", &payload).len(), 1);
    let mut split = shard.split.unwrap();
    split.begin("application/json", &payload);
    split.run_scripts(|_| 0);
    assert!(split.sent().iter().all(|frame| !frame.is_handed_over()));
}

#[test]
fn a_message_of_a_nats_in_goes_to_the_lane_of_its_first_run() {
    let mut shard = *four_runs().split.unwrap();
    let (input, revision) = (shard.open(), Rc::clone(&shard.revision));
    let envelope = envelope(&revision.owner, input);
    shard.steps.run_received(&mut shard.settlement, &revision, &envelope, br#"{"lines": [1]}"#);
    let sent = shard.sent();
    assert_eq!((sent.len(), &*sent[0].subject), (1, "vrsky.filter.t1000.0.acme.orders.in"));
    shard.begin_handed(&sent[0], false);
    assert_eq!(payloads(&shard.run_all()), [r#"{"n":1,"m":2}"#]);
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_with_the_message_as_it_came() {
    let mut shard = *four_runs().split.unwrap();
    shard.begin("application/json", r#"{"lines": [1]}"#);
    let mut frame = shard.sent().remove(0);
    frame.bytes.push(0);
    shard.begin_handed(&frame, false);
    let sent = shard.sent();
    assert_eq!(sent[0].header("Vrsky-Code"), Some("deliver/bad-handover"));
    assert_eq!(payloads(&sent), [r#"{"lines": [1]}"#]);
}
