use super::*;
use crate::{Permissions, Subjects, User};

const MS: u64 = 1_000_000;
const START: u64 = 1_800_000_000_000_000_000;

/// A server with one client, which hears everything below `r` and `d`.
struct Rig {
    server: Server,
    id: ConnectionId,
}

impl Rig {
    fn new(options: Options, user: &str) -> Rig {
        let mut server = Server::new(options, START);
        let id = server.connect();
        let mut rig = Rig { server, id };
        rig.greet(user);
        rig
    }

    fn greet(&mut self, user: &str) {
        let options = "\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true";
        self.say(&format!("CONNECT {{{options}{user}}}\r\nSUB r 1\r\nSUB d 2\r\n"));
    }

    /// What the server answers; frames end with `|`.
    fn say(&mut self, text: &str) -> String {
        self.server.receive(self.id, text.as_bytes());
        self.read()
    }

    fn read(&mut self) -> String {
        let mut out = Vec::new();
        self.server.take_output(self.id, &mut out);
        String::from_utf8(out).unwrap().replace("\r\n", "|")
    }

    fn publish(&mut self, subject: &str, reply: &str, payload: &str) -> String {
        self.say(&format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len()))
    }

    fn publish_id(&mut self, subject: &str, id: &str) -> String {
        let block = format!("NATS/1.0\r\nNats-Msg-Id: {id}\r\n\r\n");
        self.say(&format!("HPUB {subject} r {} {}\r\n{block}\r\n", block.len(), block.len()))
    }

    fn pull(&mut self, body: &str) -> String {
        self.publish("$JS.API.CONSUMER.MSG.NEXT.S.c", "d", body)
    }

    fn advance(&mut self, ms: u64) -> String {
        let to = self.server.now() + ms * MS;
        self.server.advance(to);
        self.read()
    }

    /// A work queue `S` on `s.>` with a consumer `c`.
    fn queue() -> Rig {
        let mut rig = Rig::new(Options::default(), "");
        let stream = r#"{"name":"S","subjects":["s.>"],"retention":"workqueue","duplicate_window":60000000000}"#;
        assert!(rig.publish("$JS.API.STREAM.CREATE.S", "r", stream).contains("did_create"));
        let consumer =
            r#"{"stream_name":"S","config":{"durable_name":"c","ack_policy":"explicit","ack_wait":200000000}}"#;
        assert!(rig.publish("$JS.API.CONSUMER.CREATE.S.c", "r", consumer).contains("num_pending"));
        rig
    }
}

#[test]
fn a_message_is_delivered_again_until_it_is_acked() {
    let mut rig = Rig::queue();
    assert_eq!(rig.publish("s.a", "r", "x"), "MSG r 1 22|{\"stream\":\"S\",\"seq\":1}|");
    let first = format!("MSG s.a 2 $JS.ACK.S.c.1.1.1.{START}.0 1|x|");
    assert_eq!(rig.pull("1"), first);
    assert_eq!(rig.pull("1"), "");
    assert_eq!(rig.server.next_deadline(), Some(START + 201 * MS), "the server's timer is 1 ms late");
    assert_eq!(rig.advance(201), format!("MSG s.a 2 $JS.ACK.S.c.2.1.2.{START}.0 1|x|"));
    assert_eq!(rig.publish(&format!("$JS.ACK.S.c.2.1.2.{START}.0"), "r", ""), "MSG r 1 0||");
    assert_eq!(rig.server.messages("S").count(), 0);
    assert_eq!(rig.server.consumer_state("S", "c").unwrap().pending, []);
}

#[test]
fn a_restart_forgets_ids_of_consumed_messages_and_when_messages_were_delivered() {
    let mut rig = Rig::queue();
    for id in ["a", "b"] {
        rig.publish_id("s.a", id);
    }
    rig.pull("2");
    rig.publish(&format!("$JS.ACK.S.c.1.1.1.{START}.0"), "r", "");
    assert!(rig.publish_id("s.a", "a").contains("\"seq\":1,\"duplicate\": true"));
    rig.advance(150);
    rig.server.restart();
    rig.id = rig.server.connect();
    rig.greet("");
    assert!(rig.publish_id("s.a", "b").contains("\"seq\":2,\"duplicate\": true"));
    assert!(rig.publish_id("s.a", "a").contains("\"seq\":3}"));
    assert_eq!(rig.pull("{\"batch\":2,\"no_wait\":true}").matches("$JS.ACK.S.c.1.3").count(), 1);
    rig.pull("1");
    assert!(rig.advance(201).contains("$JS.ACK.S.c.2.2"), "ack_wait begins anew with the server");
}

#[test]
fn a_kill_loses_the_last_acks_of_a_consumer_but_no_message() {
    let mut rig = Rig::queue();
    for payload in ["x", "y"] {
        rig.publish("s.a", "r", payload);
    }
    rig.pull("2");
    rig.advance(150);
    rig.publish(&format!("$JS.ACK.S.c.1.1.1.{START}.1"), "r", "");
    rig.server.kill_and_restart();
    let state = rig.server.consumer_state("S", "c").unwrap();
    assert_eq!(state.pending.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rig.server.messages("S").count(), 1, "the acked message was removed at once");
}

#[test]
fn requests_end_with_their_status() {
    let mut rig = Rig::queue();
    assert!(rig.pull("{\"batch\":1,\"no_wait\":true}").contains("404 No Messages"));
    assert_eq!(rig.pull("{\"batch\":1,\"expires\":100000000}"), "");
    assert!(rig.advance(100).contains("408 Request Timeout|Nats-Pending-Messages: 1"));
    rig.pull("{\"batch\":1,\"expires\":100000000,\"max_bytes\":10}");
    assert!(rig.publish("s.a", "r", "x").contains("409 Message Size Exceeds MaxBytes"));
    rig.publish("$JS.ACK.S.c.1.1.1.0.0", "r", "");
    rig.pull("{\"batch\":5,\"max_bytes\":1000}");
    assert!(rig.publish("$JS.API.CONSUMER.DELETE.S.c", "r", "").contains("409 Consumer Deleted"));
    assert!(rig.pull("1").contains("NATS/1.0 503"));
}

#[test]
fn permissions_are_checked_and_can_change() {
    let deny = |subject: &str| Subjects { allow: None, deny: vec![subject.to_owned()] };
    let permissions = Permissions { publish: deny("no"), subscribe: deny("secret") };
    let users = [("u".to_owned(), User { password: "p".into(), permissions: permissions.clone() })].into();
    let mut rig = Rig::new(Options { users, ..Options::default() }, ",\"user\":\"u\",\"pass\":\"p\"");
    assert_eq!(rig.publish("no", "", ""), "-ERR 'Permissions Violation for Publish to \"no\"'|");
    assert_eq!(rig.say("SUB secret 7\r\n"), "-ERR 'Permissions Violation for Subscription to \"secret\"'|");
    let permissions = Permissions { publish: Subjects::default(), subscribe: deny("d") };
    rig.server.set_permissions("u", &permissions);
    assert_eq!(rig.read(), "-ERR 'Permissions Violation for Subscription to \"d\" (sid \"2\")'|");
    assert_eq!(rig.publish("no", "", ""), "");
    rig.server.set_max_payload(3);
    assert_eq!(rig.publish("no", "", "four"), "-ERR 'Maximum Payload Violation'|");
    assert!(!rig.server.take_output(rig.id, &mut Vec::new()));
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut rig = Rig::queue();
        let mut all = rig.say("SUB q g 3\r\nSUB q g 4\r\nSUB q g 5\r\n");
        for number in 0..20 {
            all += &rig.publish("q", "", "x");
            all += &rig.publish("s.a", "r", &number.to_string());
            all += &rig.pull("1");
            all += &rig.advance(37);
        }
        all
    };
    assert_eq!(run(), run());
}
