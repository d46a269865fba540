//! One history on both servers at the same time. The model's clock is the real one.
//!
//! No step is taken while a timer of the model is about to fire, or has just fired: both servers have done what the
//! timer brings about before the next step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::endpoint::{Modelled, Real, now};
use crate::normalise::{ENDED, GROUP, Seen};
use crate::steps::{History, Step, encode};

/// A timer that is nearer than this is waited for.
const AHEAD: u64 = 60_000_000;
/// What the server does in tasks of its own is done after this time.
const SETTLE: Duration = Duration::from_millis(15);
/// How long the server may take for what the model has done.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The first step after which a client has seen something else.
#[derive(Clone, Debug)]
pub struct Difference {
    pub step: usize,
    text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after step {}:\n{}", self.step, self.text)
    }
}

/// Runs a history on a server of its own model, and on the real one at `port`.
pub fn run(port: u16, history: &History) -> Result<(), Difference> {
    let mut pair = Pair::new(port, history);
    for (index, step) in history.steps.iter().enumerate() {
        pair.step(index, step);
        pair.compare(index)?;
    }
    pair.finish();
    pair.compare(history.steps.len())
}

/// Both servers, in step.
pub struct Pair {
    pub model: Modelled,
    pub real: Real,
    pub number: String,
    user: Option<&'static str>,
    blur: u64,
}

impl Pair {
    pub fn new(port: u16, history: &History) -> Pair {
        static NUMBERS: AtomicU64 = AtomicU64::new(100_000);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed).to_string();
        let (model, real) = (Modelled::new(&number), Real::connect(port, &number));
        let mut pair = Pair { model, real, number, user: history.user, blur: history.blur_ms * 1_000_000 };
        pair.greet();
        pair
    }

    /// CONNECT, and the subscriptions of answers and deliveries.
    pub fn greet(&mut self) {
        let user = self.user.map_or_else(String::new, |user| format!(",\"user\":\"{user}\",\"pass\":\"s\""));
        let number = &self.number;
        let greeting = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true{user}}}\r\n\
             SUB r{number}.* 1\r\nSUB d{number} 2\r\n"
        );
        self.send(greeting.as_bytes());
    }

    fn send(&mut self, bytes: &[u8]) {
        self.model.advance();
        self.model.send(bytes);
        self.real.send(bytes);
        // The server has read it once it answers this.
        self.real.send(b"PING\r\n");
        let wanted = self.real.reader.pongs + 1;
        self.real.read_until(Instant::now() + PATIENCE, |reader| reader.pongs >= wanted);
        self.catch_up();
    }

    /// Reads until the server has told as much as the model.
    fn catch_up(&mut self) {
        let wanted = self.model.reader.seen.len();
        self.real.read_until(Instant::now() + PATIENCE, |reader| reader.seen.len() >= wanted);
        self.real.read_for(SETTLE);
    }

    /// Waits until no timer of the model is about to fire, and all that have fired have on the server, too.
    fn wait_for_timers(&mut self) {
        for _ in 0..200 {
            self.model.advance();
            let Some(at) = self.model.server.next_deadline().filter(|at| *at <= now() + AHEAD) else { break };
            let wait = (at + self.blur).saturating_sub(now());
            self.real.read_for(Duration::from_nanos(wait).max(Duration::from_millis(1)));
        }
        self.catch_up();
    }

    pub fn step(&mut self, index: usize, step: &Step) {
        self.wait_for_timers();
        if let Step::Wait(ms) = step {
            self.real.read_for(Duration::from_millis(*ms));
            return self.wait_for_timers();
        }
        let bytes = encode(step, index, &self.number, &self.model.reader.acks);
        let real_bytes = encode(step, index, &self.number, &self.real.reader.acks);
        self.model.advance();
        self.model.send(&bytes);
        self.real.send(&real_bytes);
        self.real.send(b"PING\r\n");
        let wanted = self.real.reader.pongs + 1;
        self.real.read_until(Instant::now() + PATIENCE, |reader| reader.pongs >= wanted);
        self.catch_up();
    }

    pub fn finish(&mut self) {
        self.wait_for_timers();
        self.real.read_for(Duration::from_millis(30));
        self.model.advance();
    }

    pub fn compare(&self, step: usize) -> Result<(), Difference> {
        let (model, real) = (channels(&self.model.reader.seen), channels(&self.real.reader.seen));
        if model == real {
            return Ok(());
        }
        let mut text = String::new();
        for channel in model.keys().chain(real.keys()).collect::<std::collections::BTreeSet<_>>() {
            let empty = Vec::new();
            let (model, real) = (model.get(channel).unwrap_or(&empty), real.get(channel).unwrap_or(&empty));
            let same = model.iter().zip(real).take_while(|(model, real)| model == real).count();
            for (name, seen) in [("model ", model), ("server", real)] {
                for line in &seen[same..] {
                    text += &format!("  {name} {channel}: {line}\n");
                }
            }
        }
        Err(Difference { step, text })
    }
}

/// What was seen, by channel; in some of them, in no order.
fn channels(seen: &[Seen]) -> BTreeMap<String, Vec<String>> {
    let mut channels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in seen {
        channels.entry(one.channel.clone()).or_default().push(one.text.clone());
    }
    for name in [GROUP, ENDED] {
        channels.get_mut(name).into_iter().for_each(|seen| seen.sort());
    }
    channels
}
