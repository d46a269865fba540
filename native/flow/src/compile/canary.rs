//! What a canary may change of the revision beside which it runs: its steps, tables, tests, and what one message may cost.
//!
//! Both revisions share one in and one set of outs: one connection, one queue, one backlog. So these have to be the same.

use message::{Code, Fault};
use serde::Serialize;
use serde_json::Value;

use super::Pipeline;

/// Whether `canary` may run a share of the messages of `active`.
///
/// # Errors
/// `config/canary` with the pointer of the first value that is another one.
pub fn check_canary(active: &Pipeline, canary: &Pipeline) -> Result<(), Fault> {
    let (ours, theirs) = (active.file(), canary.file());
    same("/customer", &ours.customer, &theirs.customer)?;
    same("/pipeline", &ours.pipeline, &theirs.pipeline)?;
    same("/in", &ours.input, &theirs.input)?;
    same("/out", &ours.out, &theirs.out)?;
    // What the in takes, and which lanes its messages are in.
    same("/limits/rate", &ours.limits.rate, &theirs.limits.rate)?;
    same("/limits/backlog", &ours.limits.backlog, &theirs.limits.backlog)?;
    same("/limits/bytes", &ours.limits.bytes, &theirs.limits.bytes)
}

/// By their texts: the order of outs counts.
fn same(pointer: &str, active: &impl Serialize, canary: &impl Serialize) -> Result<(), Fault> {
    let text = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
    if text(serde_json::to_string(active)) == text(serde_json::to_string(canary)) {
        return Ok(());
    }
    let value = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    let pointer = difference(&value(serde_json::to_value(active)), &value(serde_json::to_value(canary)), pointer);
    let field = pointer.trim_start_matches('/').replace('/', ".");
    let reason = format!("a canary cannot change `{field}`: it shares the in and the outs of the active revision");
    Err(Fault::new(Code::ConfigCanary, reason).at_pointer(pointer))
}

/// The pointer of the first value that differs, counted from that of both.
fn difference(one: &Value, other: &Value, pointer: &str) -> String {
    let (Value::Object(ours), Value::Object(theirs)) = (one, other) else { return pointer.to_owned() };
    let names = theirs.keys().chain(ours.keys());
    let Some(name) = names.into_iter().find(|name| ours.get(*name) != theirs.get(*name)) else {
        return pointer.to_owned();
    };
    let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (ours.get(name), theirs.get(name)) {
        (Some(ours), Some(theirs)) => difference(ours, theirs, &below),
        _ => below,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(changes: &[(&str, Value)]) -> Result<(), (Code, String)> {
        let file = json!({
            "customer": "acme", "pipeline": "orders", "in": {"http": {"path": "/x", "auth": "none"}},
            "steps": [{"filter": "msg.total > 1.0"}],
            "out": {"http": {"url": "https://erp.example/orders"}}, "limits": {"backlog": 10, "outputs": 5},
        });
        let mut other = file.clone();
        for (pointer, value) in changes {
            *other.pointer_mut(pointer).unwrap() = value.clone();
        }
        let compiled = |file: &Value| Pipeline::from_json(&file.to_string(), &()).unwrap();
        let judged = check_canary(&compiled(&file), &compiled(&other));
        judged.map_err(|fault| (fault.code(), fault.place().pointer.clone().unwrap_or_default()))
    }

    #[test]
    fn steps_and_the_limits_of_one_message_may_change() {
        assert_eq!(judged(&[]), Ok(()));
        assert_eq!(judged(&[("/steps/0/filter", json!("msg.total > 2.0")), ("/limits/outputs", json!(6))]), Ok(()));
    }

    #[test]
    fn in_out_and_the_limits_of_all_messages_may_not() {
        for (pointer, value) in [
            ("/customer", json!("nova")),
            ("/pipeline", json!("others")),
            ("/in/http/path", json!("/y")),
            ("/out/http/url", json!("https://other.example/orders")),
            ("/limits/backlog", json!(11)),
        ] {
            assert_eq!(judged(&[(pointer, value)]), Err((Code::ConfigCanary, pointer.to_owned())));
        }
        let out = json!({"stdout": {}});
        assert_eq!(judged(&[("/out", out)]), Err((Code::ConfigCanary, "/out/stdout".to_owned())));
    }
}
