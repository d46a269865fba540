//! What goes wrong, when, and for how long.

use std::rc::Rc;
use std::time::Duration;

use model::{Permissions, Subjects};
use nats::protocol::{Frame, ParserLimits};
use tokio::time::{Instant, sleep};

use crate::catalogue::Intake;
use crate::listener::SUBJECTS;
use crate::network::RECONNECT_MS;
use crate::run::Simulation;
use crate::sink::Behaviour;
use crate::streams;
use crate::timeline::{
    ACKS_REFUSED, ANSWERS_REFUSED, ANSWERS_REFUSED_PARKING, CONSUMER_DELETED, CORE_REFUSED, DEDUPLICATED_MS, RESTARTED,
};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Cut,
    ServerRestart,
    Kill,
    ShardKill,
    Stop,
    Reload,
    Removal,
    Clock,
    SinkFails,
    SinkUnreachable,
    SinkHangs,
    SinkLies,
    SinkSlow,
    Outage,
    ConsumerDeleted,
    AnswersRefused,
    LanesRefused,
    AcksRefused,
    Foreign,
    StrayReplies,
    StreamFull,
    Redrive,
    CoreRefused,
}

/// A subscription is tried again every ten seconds.
const HEARS_AGAIN_MS: u64 = 12_000;

const ALL: [Fault; 23] = [
    Fault::Cut,
    Fault::ServerRestart,
    Fault::Kill,
    Fault::ShardKill,
    Fault::Stop,
    Fault::Reload,
    Fault::Removal,
    Fault::Clock,
    Fault::SinkFails,
    Fault::SinkUnreachable,
    Fault::SinkHangs,
    Fault::SinkLies,
    Fault::SinkSlow,
    Fault::Outage,
    Fault::ConsumerDeleted,
    Fault::AnswersRefused,
    Fault::LanesRefused,
    Fault::AcksRefused,
    Fault::Foreign,
    Fault::StrayReplies,
    Fault::StreamFull,
    Fault::Redrive,
    Fault::CoreRefused,
];

impl Fault {
    /// Whether the node goes on with what it has in hand.
    fn keeps_hands(self) -> bool {
        matches!(self, Fault::Clock | Fault::Foreign | Fault::StrayReplies | Fault::LanesRefused | Fault::SinkSlow)
    }
}

/// Chooses what happens in a simulation.
#[must_use]
pub fn choose(simulation: &Simulation) -> Vec<(u64, u64, Fault)> {
    let story = &simulation.story;
    let mut kinds: Vec<Fault> = Vec::new();
    // Some seeds have a few kinds only: what is promised without the others is checked there.
    let few: Vec<Fault> = (0..3).map(|_| *story.pick(&ALL)).collect();
    let all = if story.one_in(3) { &few[..] } else { &ALL[..] };
    for _ in 0..story.random(5..11) {
        kinds.push(*story.pick(all));
    }
    if simulation.is_heavy {
        // Else the server counts what a connection before had in hand.
        kinds.retain(|kind| kind.keeps_hands());
    }
    let span = simulation.span_ms;
    let mut chosen: Vec<_> =
        kinds.into_iter().map(|kind| (story.random(0..span), story.random(100..25_000), kind)).collect();
    if simulation.is_heavy {
        chosen.push((span / 20, span, Fault::Outage));
    }
    chosen.sort_unstable();
    chosen
}

/// Lets one fault happen, and ends it.
pub async fn happen(simulation: Rc<Simulation>, at_ms: u64, lasts_ms: u64, fault: Fault) {
    sleep(Duration::from_millis(at_ms)).await;
    simulation.story.tell(|| format!("fault {fault:?} for {lasts_ms} ms"));
    let lasts = Duration::from_millis(lasts_ms);
    match fault {
        Fault::Cut => simulation.wires.cut(),
        Fault::ServerRestart => server_restart(&simulation, lasts).await,
        Fault::Kill => kill(&simulation, lasts).await,
        Fault::ShardKill => shard_kill(&simulation, lasts).await,
        Fault::Stop => stop(&simulation, lasts).await,
        Fault::Reload => reload(&simulation),
        Fault::Removal => removal(&simulation, lasts).await,
        Fault::Clock => {
            let hours = i64::try_from(simulation.story.random(0..5)).unwrap_or(0) - 2;
            simulation.story.set_clock(hours * 3_600_000);
        }
        Fault::SinkFails => sink(&simulation, Behaviour::Fails, lasts).await,
        Fault::SinkUnreachable => sink(&simulation, Behaviour::Unreachable, lasts).await,
        Fault::SinkHangs => sink(&simulation, Behaviour::Hangs, lasts).await,
        Fault::SinkLies => sink(&simulation, Behaviour::Lies, lasts.min(Duration::from_secs(2))).await,
        Fault::SinkSlow => sink(&simulation, Behaviour::Slow(400), lasts).await,
        Fault::Outage => outage(&simulation, lasts).await,
        Fault::ConsumerDeleted => consumer_deleted(&simulation),
        Fault::AnswersRefused => answers_refused(&simulation, lasts * 2).await,
        Fault::LanesRefused => refused(&simulation, lasts, &["vrsky.>"], &[]).await,
        Fault::AcksRefused => acks_refused(&simulation, lasts).await,
        Fault::Foreign => foreign(&simulation),
        Fault::StreamFull => stream_full(&simulation, lasts).await,
        Fault::CoreRefused => core_refused(&simulation, lasts).await,
        Fault::Redrive => {
            redrive(&simulation).await;
            sleep(lasts).await;
            simulation.receivers.forgive(false);
        }
        Fault::StrayReplies => stray_replies(&simulation, lasts.min(Duration::from_secs(4))).await,
    }
    simulation.story.tell(|| format!("end of {fault:?}"));
}

async fn server_restart(simulation: &Simulation, lasts: Duration) {
    let span = simulation.story.timeline.begin(RESTARTED, simulation.story.elapsed_ms());
    let deaf = simulation.is_deaf();
    simulation.wires.stop();
    sleep(lasts).await;
    simulation.wires.start();
    simulation.story.timeline.end(span, simulation.story.elapsed_ms());
    simulation.hears_again(deaf, RECONNECT_MS);
}

async fn kill(simulation: &Simulation, lasts: Duration) {
    let span = simulation.is_deaf();
    simulation.node.kill();
    sleep(lasts).await;
    simulation.restart();
    simulation.hears_again(span, 1_000);
}

/// One shard dies, as with a node of its own; the others go on.
async fn shard_kill(simulation: &Simulation, lasts: Duration) {
    let count = u64::from(simulation.node.shards());
    let number = usize::try_from(simulation.story.random(0..count)).unwrap_or(0);
    let span = simulation.is_deaf();
    if simulation.node.kill_shard(number) {
        simulation.reached("one shard of several killed");
    }
    sleep(lasts).await;
    simulation.node.restart_shard(number);
    simulation.hears_again(span, 1_000);
}

async fn stop(simulation: &Simulation, lasts: Duration) {
    let span = simulation.is_deaf();
    simulation.node.stop().await;
    sleep(lasts).await;
    simulation.restart();
    simulation.hears_again(span, 1_000);
}

/// One pipeline gets its other revision. One with a canary stays as it is: the oracle knows which revision runs what.
fn reload(simulation: &Simulation) {
    let mut served = simulation.node.served();
    let canaries = simulation.story.canaries.borrow().clone();
    let entries: Vec<usize> = served.keys().copied().filter(|entry| !canaries.contains(entry)).collect();
    if entries.is_empty() {
        return;
    }
    if let Some(revision) = served.get_mut(simulation.story.pick(&entries)) {
        *revision = 1 - *revision;
    }
    simulation.node.serve(served);
}

async fn removal(simulation: &Simulation, lasts: Duration) {
    let mut served = simulation.node.served();
    let entries: Vec<usize> = served.keys().copied().collect();
    if entries.is_empty() {
        return;
    }
    let entry = *simulation.story.pick(&entries);
    let Some(revision) = served.remove(&entry) else { return };
    let span = simulation.is_deaf();
    simulation.node.serve(served);
    sleep(lasts).await;
    simulation.note_set_aside();
    let mut served = simulation.node.served();
    served.insert(entry, revision);
    simulation.node.serve(served);
    simulation.hears_again(span, 1_000);
}

async fn sink(simulation: &Simulation, behaviour: Behaviour, lasts: Duration) {
    let receivers = simulation.receivers.all();
    if receivers.is_empty() {
        return;
    }
    let receiver = simulation.story.pick(&receivers);
    receiver.behave(behaviour);
    sleep(lasts).await;
    receiver.behave(Behaviour::Well);
}

/// No receiver is there.
async fn outage(simulation: &Simulation, lasts: Duration) {
    let behave = |behaviour| simulation.receivers.all().iter().for_each(|receiver| receiver.behave(behaviour));
    behave(Behaviour::Unreachable);
    sleep(lasts).await;
    if simulation.is_heavy {
        // What is brought back stays in hand for a while.
        behave(Behaviour::Slow(500));
        sleep(Duration::from_secs(10)).await;
    }
    behave(Behaviour::Well);
}

fn consumer_deleted(simulation: &Simulation) {
    let (fused, split) = (
        [("VRSKY_LOGIC_T1000_0", "logic"), ("VRSKY_OUTGOING_T1000_0", "outgoing")],
        [("VRSKY_CONVERTER_T1000_0", "converter"), ("VRSKY_FILTER_T1000_0", "filter")],
    );
    let durable = *simulation.story.pick(if simulation.node.is_split() { &split } else { &fused });
    simulation.story.note(CONSUMER_DELETED);
    simulation.wires.server(|server| server.delete_consumer(durable.0, durable.1));
}

/// An operator sends the dead letters again, or two do at once.
pub async fn redrive(simulation: &Rc<Simulation>) {
    // Its reason: the receivers take now what they have refused.
    simulation.receivers.forgive(true);
    let first = Rc::clone(simulation).redrive();
    if simulation.story.one_in(3) {
        simulation.reached("two redrives at once");
        tokio::join!(first, Rc::clone(simulation).redrive());
    } else {
        first.await;
    }
}

async fn answers_refused(simulation: &Simulation, lasts: Duration) {
    const ANSWERS: [&str; 2] = ["_INBOX.*.a.>", "_INBOX.*.p.>"];
    let (story, timeline) = (&simulation.story, &simulation.story.timeline);
    let refuse = async {
        let from_ms = story.elapsed_ms();
        let span = timeline.begin(ANSWERS_REFUSED_PARKING, from_ms);
        refused(simulation, lasts, &[], &ANSWERS).await;
        let until_ms = story.elapsed_ms() + HEARS_AGAIN_MS;
        timeline.end(span, until_ms);
        if until_ms - from_ms > DEDUPLICATED_MS {
            timeline.span(ANSWERS_REFUSED, from_ms, until_ms);
        }
    };
    if story.one_in(2) {
        // So that something is on its way to the parked messages.
        let later = sleep(Duration::from_millis(story.random(100..1_200)));
        tokio::join!(outage(simulation, Duration::from_secs(6)), async { (later.await, refuse.await) });
    } else {
        refuse.await;
    }
}

async fn acks_refused(simulation: &Simulation, lasts: Duration) {
    let span = simulation.story.timeline.begin(ACKS_REFUSED, simulation.story.elapsed_ms());
    refused(simulation, lasts, &["$JS.ACK.>"], &[]).await;
    simulation.story.timeline.end(span, simulation.story.elapsed_ms());
}

/// Outs to core NATS.
async fn core_refused(simulation: &Simulation, lasts: Duration) {
    let span = simulation.story.losses.begin(CORE_REFUSED, simulation.story.elapsed_ms());
    refused(simulation, lasts, &[SUBJECTS], &[]).await;
    simulation.story.losses.end(span, simulation.story.elapsed_ms());
}

async fn refused(simulation: &Simulation, lasts: Duration, publish: &[&str], subscribe: &[&str]) {
    let deny =
        |patterns: &[&str]| Subjects { allow: None, deny: patterns.iter().map(|one| (*one).to_owned()).collect() };
    let permissions = Permissions { publish: deny(publish), subscribe: deny(subscribe) };
    let span = (!subscribe.is_empty()).then(|| simulation.is_deaf());
    simulation.wires.server(|server| server.set_permissions("node", &permissions));
    sleep(lasts).await;
    span.into_iter().for_each(|span| simulation.hears_again(span, HEARS_AGAIN_MS));
    simulation.wires.server(|server| server.set_permissions("node", &Permissions::default()));
}

/// Somebody publishes what only nodes should, and answers what nobody has asked.
fn foreign(simulation: &Simulation) {
    let story = &simulation.story;
    let headers = b"NATS/1.0\r\nCustomer-ID: acme\r\nVrsky-Id: acme.0123456789abcdef0123456789abcdef\r\n\
        Nats-Msg-Id: 7\r\n\r\n";
    let steps = if simulation.node.is_split() { "converter" } else { "logic" };
    let lanes = [format!("vrsky.{steps}.t1000.0.zeta.split.in"), "vrsky.outgoing.t1000.0.zeta.split.default".into()];
    let subject = story.pick(&lanes).as_str();
    simulation.wires.server(|server| server.publish(subject, "", headers, b"{\"foreign\":true}"));
    let streams: Vec<&str> = simulation
        .catalogue
        .entries
        .iter()
        .filter_map(|entry| match &entry.intake {
            Intake::Stream(subject) => Some(subject.as_str()),
            _ => None,
        })
        .collect();
    let subject = *story.pick(&streams);
    simulation.wires.server(|server| server.publish(subject, "", headers, b"{\"foreign\":true,\"items\":[]}"));
}

/// The users' stream takes nothing more, for a while.
async fn stream_full(simulation: &Simulation, lasts: Duration) {
    simulation.wires.server(|server| streams::limit(server, "OUT", Some(1)));
    sleep(lasts).await;
    simulation.wires.server(|server| streams::limit(server, "OUT", None));
}

/// Somebody listens where outs publish, and answers every message: with what is no PubAck, and with that of another
/// stream.
async fn stray_replies(simulation: &Simulation, lasts: Duration) {
    const GREETING: &[u8] = b"CONNECT {\"user\":\"node\",\"headers\":true,\"verbose\":false}\r\nSUB out.> 1\r\n";
    let id = simulation.wires.server(|server| {
        let id = server.connect();
        server.receive(id, GREETING);
        id
    });
    let mut heard = Vec::new();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        sleep(Duration::from_millis(simulation.story.random(1..20))).await;
        simulation.wires.server(|server| {
            server.take_output(id, &mut heard);
            for reply in replies(&mut heard) {
                server.publish(&reply, "", b"", b"thanks");
                server.publish(&reply, "", b"", br#"{"stream":"ELSEWHERE","seq":1}"#);
            }
        });
    }
    simulation.wires.server(|server| server.disconnect(id));
}

/// The reply subjects of the messages that a client has read whole.
fn replies(heard: &mut Vec<u8>) -> Vec<String> {
    let (mut found, mut used) = (Vec::new(), 0);
    while let Ok(Some((frame, count))) = nats::protocol::parse(&heard[used..], &ParserLimits::default()) {
        if let Frame::Message(message) = frame
            && !message.reply.is_empty()
        {
            found.push(String::from_utf8_lossy(message.reply).into_owned());
        }
        used += count;
    }
    heard.drain(..used);
    found
}
