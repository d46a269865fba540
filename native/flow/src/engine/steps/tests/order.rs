//! Whatever order scripts finish in, a message becomes the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Messages that scripts split, drop and fail again and again.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..9_i64).prop_map(|n| json!({ "n": n })),
        Just(json!({"drop": true})),
        Just(json!({"fail": true})),
        Just(json!({"none": true})),
        Just(json!({"text": "caf\u{e9}"})),
    ];
    let branch = |inner| prop::collection::vec(inner, 0..5).prop_map(|items| json!({ "items": items }));
    leaf.prop_recursive(3, 40, 5, branch)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scripts_that_finish_in_any_order_give_what_process_gives(tree in tree(), order in any::<u64>(), outputs in 1..40_u32) {
        let split = code("{ if (msg.fail) throw new Error('fails'); if (msg.none) return null; return msg.items || msg }");
        let route = json!({"route": [{"when": "has(msg.n) && n > 4", "to": ["log", "erp"]}, {"to": "log"}]});
        let steps = json!([split, {"filter": "!has(msg.drop)"}, split, split, {"filter": "has(msg.n)"}, route]);
        let out = json!({"erp": {"http": {"url": "https://e.example/{n}"}}, "log": {"stdout": {}}});
        let mut shard = Shard::new(&steps, &out, &json!({"outputs": outputs}));
        let payload = tree.to_string();
        let expected = shard.run("", &payload);
        let mut random = fastrand::Rng::with_seed(order);
        shard.begin("", &payload);
        shard.run_scripts(|count| random.usize(..count));
        let sent = shard.sent();
        let is_whole = |frames: &[Frame]| frames.iter().any(|frame| frame.header("Vrsky-Code").is_some_and(|code| code.ends_with("too-many-outputs")));
        prop_assert_eq!(is_whole(&sent), is_whole(&expected));
        // Over its limits in more than one way, either may be met first.
        if !is_whole(&expected) {
            prop_assert_eq!(&sent, &expected);
        }
        prop_assert!(!is_whole(&sent) || sent.len() == 1 && sent[0].payload == payload);
        let of_outs = |frame: &&Frame| frame.subject.starts_with("vrsky.outgoing.");
        let got: Vec<(String, &str)> = sent.iter().filter(of_outs).map(|frame| (frame.kind().to_owned(), &*frame.payload)).collect();
        let processed = shard.process(&payload);
        let names = shard.revision.pipeline().outs();
        let wanted: Vec<(String, &str)> = processed.outputs.iter()
            .map(|output| (names[output.out].name.clone(), std::str::from_utf8(&output.payload).unwrap())).collect();
        prop_assert_eq!(got, wanted);
        let letters = sent.iter().filter(|frame| frame.subject.starts_with("vrsky.dead.")).count();
        prop_assert_eq!(letters > 0, processed.fault.is_some());
        // Each number once for each place that it is sent to.
        let mut places: Vec<(&str, Option<u64>)> = sent.iter().map(|frame| (&*frame.subject, frame.part())).collect();
        let count = places.len();
        places.sort_unstable();
        places.dedup();
        prop_assert_eq!(places.len(), count);
    }
}
