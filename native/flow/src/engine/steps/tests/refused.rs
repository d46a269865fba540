//! Outs whose subject the server refuses.

use super::*;

#[test]
fn an_input_waits_as_a_whole_while_the_server_refuses_one_of_its_outs() {
    let copy = json!({"nats": {"subject": "out.acme", "mode": "jetstream", "stream": "OUT"}});
    let out = json!({"copy": copy, "tell": {"nats": {"subject": "tell.acme"}}});
    let split = code("msg.items");
    let both = json!({"route": [{"to": ["copy", "tell"]}]});
    for steps in [json!([both]), json!([split, both])] {
        let mut shard = Shard::new(&steps, &out, &json!({}));
        let subjects = |frames: &[Frame]| frames.iter().map(|frame| frame.subject.clone()).collect::<Vec<_>>();
        let payload = r#"{"items":[{"n":1}]}"#;
        assert_eq!(subjects(&shard.run("", payload)), ["out.acme", "tell.acme"]);
        assert!(shard.settlement.on_publish_refused("tell.acme"));
        // Only this one was refused.
        shard.split = None;
        assert_eq!((shard.run("", payload), shard.count(Metric::Retried)), (vec![], 1));
    }
}
