//! Dead letters that an operator sends again: what `vrsky dlq redrive` does, by the same protocol
//! (`python/vrsky_fast/control/redrive/`), and it may be killed between any two steps.
//!
//! ```text
//! VRSKY_DEAD ──► plan ──► VRSKY_REDRIVE: the batch ──► publish ──► PubAck ──► deleted
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::rc::Rc;
use std::time::Duration;

use ::message::Headers;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::message::number;
use crate::operator::Operator;
use crate::run::Simulation;
use crate::timeline::{DEDUPLICATED_MS, REDRIVEN_TWICE};

const DEAD: &str = "VRSKY_DEAD";
const JOURNAL: &str = "VRSKY_REDRIVE";
/// Pauses before a full lane is tried again, milliseconds; after the last one the redrive ends.
const PAUSES_MS: [u64; 6] = [100, 200, 500, 1_000, 2_000, 3_000];

/// A letter as it is in the stream.
#[derive(Clone, Debug)]
struct Letter {
    sequence: u64,
    subject: String,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

/// One publish of a redrive.
struct Sending {
    letter: Letter,
    stream: &'static str,
    subject: String,
    headers: String,
}

/// A part of a message that was sent again. Whole messages need no record: their inputs are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPart {
    pub number: u32,
    pub id: String,
    pub part: String,
    pub payload: Vec<u8>,
}

/// What all redrives of a simulation have done.
#[derive(Debug, Default)]
pub struct Redriven {
    /// When a letter was published for the first time, by its sequence.
    published: BTreeMap<u64, u64>,
    pub parts: Vec<SentPart>,
}

/// Why a redrive has ended before its end.
enum Ended {
    Killed,
    /// The server is away, does not answer, or a lane is full.
    Failed,
}

impl Simulation {
    /// Redrives everything until one redrive comes to its end, a few times at most.
    pub async fn redrive(self: Rc<Simulation>) {
        for _ in 0..3 {
            let ended = Redrive::new(&self).run().await;
            match ended {
                Ok(()) => return,
                Err(Ended::Killed) => self.reached("redrive killed"),
                Err(Ended::Failed) => self.reached("redrive failed"),
            }
            // Before or after the streams have forgotten its publishes.
            let pause = if self.story.one_in(4) { 0..5_000 } else { DEDUPLICATED_MS..DEDUPLICATED_MS + 9_000 };
            sleep(Duration::from_millis(self.story.random(pause))).await;
        }
    }
}

struct Redrive<'a> {
    simulation: &'a Simulation,
    operator: Operator,
    journal: String,
    most: usize,
    /// At which of its steps it is killed.
    killed_in: u64,
}

impl<'a> Redrive<'a> {
    fn new(simulation: &'a Simulation) -> Redrive<'a> {
        let story = &simulation.story;
        let most = *story.pick(&[1, 100, 100]);
        let journal = format!("vrsky.redrive.{:016x}", story.u64());
        Redrive { simulation, operator: Operator::new(&simulation.wires), journal, most, killed_in: u64::MAX }
    }

    async fn run(mut self) -> Result<(), Ended> {
        let wanted: Vec<u64> = self.letters().iter().map(|letter| letter.sequence).collect();
        self.simulation.story.tell(|| format!("redrive of {} letters", wanted.len()));
        if !self.simulation.story.one_in(3) {
            // A batch has a step for each publish, and one for each letter that is deleted.
            self.killed_in = self.simulation.story.random(1..2 * wanted.len() as u64 + 2);
        }
        let mut batch = Vec::new();
        for (at, sequence) in wanted.iter().enumerate() {
            batch.extend(self.prepare(*sequence));
            if batch.len() == self.most || at + 1 == wanted.len() && !batch.is_empty() {
                self.begin(&batch)?;
                self.step().await?;
                self.publish(std::mem::take(&mut batch)).await?;
                self.step().await?;
            }
        }
        self.end()
    }

    /// Some time passes; it may be killed in it.
    async fn step(&mut self) -> Result<(), Ended> {
        sleep(Duration::from_millis(self.simulation.story.random(0..30))).await;
        if self.killed_in == 0 {
            self.simulation.story.tell(|| "the redrive is killed".into());
            return Err(Ended::Killed);
        }
        self.killed_in -= 1;
        Ok(())
    }

    fn letters(&self) -> Vec<Letter> {
        let read = |one: &model::Stored| Letter {
            sequence: one.sequence,
            subject: one.subject.clone(),
            headers: one.headers.to_vec(),
            payload: one.payload.to_vec(),
        };
        let letters = |server: &mut model::Server| server.messages(DEAD).map(read).collect::<Vec<_>>();
        let mut letters = self.simulation.wires.server(letters);
        letters.retain(|letter| letter.subject.starts_with("vrsky.dead."));
        letters
    }

    /// Nothing where the letter is gone, or stays.
    fn prepare(&self, sequence: u64) -> Option<Sending> {
        let letter = self.letters().into_iter().find(|letter| letter.sequence == sequence)?;
        let headers = Headers::new(&letter.headers);
        let text = |name| headers.get_str(name).unwrap_or_default();
        let (customer, pipeline) = letter.owner()?;
        let is_refused = text("Vrsky-Code") == "tenant/mismatch"
            || !text("Vrsky-Omitted-Bytes").is_empty()
            || !text("Vrsky-Omitted-Headers").is_empty()
            || !self.simulation.serves(customer, pipeline);
        if is_refused {
            return None;
        }
        let (stream, lane, step) = match text("Vrsky-Step").strip_prefix("out:") {
            Some(out) => ("VRSKY_OUTGOING_T1000_0", "outgoing", out),
            None if self.simulation.node.is_split() => ("VRSKY_CONVERTER_T1000_0", "converter", "in"),
            None => ("VRSKY_LOGIC_T1000_0", "logic", "in"),
        };
        let subject = format!("vrsky.{lane}.t1000.0.{customer}.{pipeline}.{step}");
        let headers = block(&letter, stream, customer);
        Some(Sending { letter, stream, subject, headers })
    }

    fn begin(&mut self, batch: &[Sending]) -> Result<(), Ended> {
        let config = json!({"name": JOURNAL, "subjects": ["vrsky.redrive.*"], "retention": "limits", "storage": "file",
            "discard": "old", "max_msgs_per_subject": 1, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
            "max_age": 0, "num_replicas": 1});
        let sequences: Vec<u64> = batch.iter().map(|one| one.letter.sequence).collect();
        self.ask(&format!("$JS.API.STREAM.CREATE.{JOURNAL}"), "", config.to_string().as_bytes())?;
        let subject = self.journal.clone();
        self.ask(&subject, "", json!(sequences).to_string().as_bytes()).map(|_| ())
    }

    fn end(&mut self) -> Result<(), Ended> {
        let filter = json!({"filter": self.journal}).to_string();
        self.ask(&format!("$JS.API.STREAM.PURGE.{JOURNAL}"), "", filter.as_bytes()).map(|_| ())
    }

    fn ask(&mut self, subject: &str, headers: &str, payload: &[u8]) -> Result<Value, Ended> {
        self.operator.ask(subject, headers, payload).ok_or(Ended::Failed)
    }

    /// Deletes those that were stored, whatever happens to the others.
    async fn publish(&mut self, mut batch: Vec<Sending>) -> Result<(), Ended> {
        for pause in PAUSES_MS.map(Some).into_iter().chain([None]) {
            let mut stored = BTreeSet::new();
            for one in &batch {
                self.note(&one.letter);
                let answer = self.ask(&one.subject, &one.headers, &one.letter.payload)?;
                if answer["stream"] == one.stream && answer["error"].is_null() {
                    stored.insert(one.letter.sequence);
                }
                self.step().await?;
            }
            for sequence in &stored {
                let sequence = json!({"seq": sequence}).to_string();
                self.ask(&format!("$JS.API.STREAM.MSG.DELETE.{DEAD}"), "", sequence.as_bytes())?;
                self.step().await?;
            }
            batch.retain(|one| !stored.contains(&one.letter.sequence));
            let Some(pause) = pause.filter(|_| !batch.is_empty()) else { break };
            sleep(Duration::from_millis(pause)).await;
        }
        if batch.is_empty() { Ok(()) } else { Err(Ended::Failed) }
    }

    fn note(&self, letter: &Letter) {
        let simulation = self.simulation;
        let Some(number) = number(&letter.payload) else { return };
        simulation.story.tell(|| format!("redrive sends letter {} of input {number}", letter.sequence));
        simulation.reached("redriven");
        // A letter is somebody's word that the message was taken.
        simulation.accept(number);
        let now_ms = simulation.story.elapsed_ms();
        let mut redriven = simulation.redriven.borrow_mut();
        let first_ms = *redriven.published.entry(letter.sequence).or_insert(now_ms);
        if now_ms > first_ms + DEDUPLICATED_MS {
            simulation.story.timeline.of(number, REDRIVEN_TWICE, now_ms);
        }
        let headers = Headers::new(&letter.headers);
        let text = |name| headers.get_str(name).unwrap_or_default().to_owned();
        if headers.get_str("Vrsky-Original").is_some() {
            let payload = letter.payload.clone();
            redriven.parts.push(SentPart { number, id: text("Vrsky-Id"), part: text("Vrsky-Part"), payload });
        }
    }
}

impl Letter {
    fn owner(&self) -> Option<(&str, &str)> {
        let mut tokens = self.subject.split('.').skip(2);
        tokens.next().zip(tokens.next())
    }
}

/// The headers that came with the message, and ours.
fn block(letter: &Letter, stream: &str, customer: &str) -> String {
    let came = Headers::new(&letter.headers);
    let text = |name| came.get_str(name).unwrap_or_default();
    let attempt = text("Vrsky-Redrive").parse::<u32>().unwrap_or(0) + 1;
    let resume = if text("Vrsky-Original").is_empty() { "" } else { text("Vrsky-Step") };
    let part = if text("Vrsky-Part").is_empty() { "0" } else { text("Vrsky-Part") };
    let ours = [
        ("Customer-ID", customer),
        ("Nats-Msg-Id", &publish_id(letter, customer, attempt)),
        ("Content-Type", text("Content-Type")),
        ("Vrsky-Id", text("Vrsky-Id")),
        ("Vrsky-Time", text("Vrsky-Time")),
        ("Vrsky-Part", part),
        ("Vrsky-Redrive", &attempt.to_string()),
        ("Vrsky-Url", text("Vrsky-Url")),
        ("Vrsky-Resume", resume),
        ("Nats-Expected-Stream", stream),
    ];
    let mut block = "NATS/1.0\r\n".to_owned();
    for (name, value) in ours.into_iter().filter(|(_, value)| !value.is_empty()) {
        block += &format!("{name}: {value}\r\n");
    }
    for line in String::from_utf8_lossy(&letter.headers).split("\r\n").skip(1).filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let is_ours = name.starts_with("nats-") || name.starts_with("vrsky-");
        if !is_ours && name != "customer-id" && name != "content-type" {
            block += &format!("{line}\r\n");
        }
    }
    block + "\r\n"
}

/// The same for the same letter and attempt, as Python's, which has another hash.
fn publish_id(letter: &Letter, customer: &str, attempt: u32) -> String {
    let id = Headers::new(&letter.headers).get_str("Vrsky-Id").unwrap_or_default().to_owned();
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write(&[salt]);
        hasher.write(format!("redrive {id} {} {attempt}", letter.sequence).as_bytes());
        hasher.finish()
    };
    format!("{customer}.{:016x}{:016x}", half(0), half(1))
}
