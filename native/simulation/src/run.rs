//! One seed, from the first message to the verdict.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use flow::engine::Topology;
use model::{Options, Server, User};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use crate::catalogue::{Catalogue, Intake};
use crate::faults::{self, Fault};
use crate::message::Input;
use crate::network::Wires;
use crate::node::Node;
use crate::oracle::{self, Found, Output};
use crate::redrive::Redriven;
use crate::sink::{Behaviour, Receivers};
use crate::size::Sizes;
use crate::story::{EPOCH_MS, Story};
use crate::streams::{self, Caps};
use crate::timeline::{BROKEN, CUT_OFF, KILLED, NOT_LISTENING, RESTARTED, Row};

/// A simulation that is not at its end after so much virtual time never ends.
const MAX_MS: u64 = 3_600_000;
/// A message that somebody still had in hand would have come again: `ack_wait` is 10 s.
const QUIET_SECONDS: u32 = 12;
/// Of one out, as delivery.md says: about 320.
const MAX_PARKED_IN_HAND: usize = 350;

/// Everything of one run.
pub struct Simulation {
    pub story: Rc<Story>,
    pub wires: Rc<Wires>,
    pub receivers: Rc<Receivers>,
    pub catalogue: Rc<Catalogue>,
    pub node: Rc<Node>,
    /// Many messages for one pipeline, and a long outage: more than may be in hand at once.
    pub is_heavy: bool,
    pub sizes: Sizes,
    /// For how long messages come, milliseconds.
    pub span_ms: u64,
    pub inputs: RefCell<Vec<Input>>,
    /// What has let outputs be there twice.
    doubled: RefCell<BTreeSet<Row>>,
    /// What clients saw that they should not.
    pub broken: RefCell<Vec<String>>,
    /// What operators have sent again.
    pub redriven: RefCell<Redriven>,
    /// What clients were told.
    pub answers: RefCell<BTreeSet<&'static str>>,
}

/// What a seed has shown.
pub struct Outcome {
    pub seed: u64,
    pub trace: u64,
    /// Empty when every promise was kept.
    pub faults: Vec<String>,
    /// What was reached of the rows of `delivery.md`.
    pub rows: BTreeSet<String>,
    pub inputs: usize,
    pub doubled: usize,
    pub virtual_ms: u64,
    pub story: Vec<String>,
}

/// Runs one seed. `readable`: keep the story.
#[must_use]
pub fn run(seed: u64, catalogue: &Rc<Catalogue>, readable: bool) -> Outcome {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = built else { return failed(seed, "no runtime") };
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        match Simulation::new(seed, catalogue, readable) {
            Ok(simulation) => Rc::new(simulation).play(seed).await,
            Err(fault) => failed(seed, fault.reason()),
        }
    })
}

fn failed(seed: u64, reason: &str) -> Outcome {
    Outcome {
        seed,
        trace: 0,
        faults: vec![reason.to_owned()],
        rows: BTreeSet::new(),
        inputs: 0,
        doubled: 0,
        virtual_ms: 0,
        story: Vec::new(),
    }
}

impl Simulation {
    fn new(seed: u64, catalogue: &Rc<Catalogue>, readable: bool) -> Result<Simulation, ::message::Fault> {
        let story = Rc::new(Story::new(seed, readable));
        let users = ["node", "listener"].map(|name| (name.to_owned(), User::default())).into();
        let sizes = Sizes::choose(&story);
        let (no_auth_user, max_payload) = (Some("node".into()), sizes.max_payload());
        let options = Options { users, no_auth_user, max_payload, seed: story.u64(), ..Options::default() };
        let mut server = Server::new(options, story.server_ns());
        let caps = Caps { lane: *story.pick(&[15, 60, 1_000]) };
        streams::provision(&mut server, catalogue, caps);
        let wires = Wires::new(server, Rc::clone(&story));
        let receivers = Rc::new(Receivers::default());
        let (is_heavy, span_ms) = (story.one_in(30), story.random(10_000..60_000));
        let threads = if is_heavy { 1 } else { story.random(1..4) };
        // Every other seed has the other one.
        let topology = if seed.is_multiple_of(2) { Topology::Fused } else { Topology::Split };
        let node = Node::new(&story, &wires, &receivers, catalogue, (threads, topology))?;
        let catalogue = Rc::clone(catalogue);
        Ok(Simulation {
            story,
            wires,
            receivers,
            catalogue,
            node,
            is_heavy,
            sizes,
            span_ms,
            inputs: RefCell::default(),
            doubled: RefCell::default(),
            broken: RefCell::default(),
            redriven: RefCell::default(),
            answers: RefCell::default(),
        })
    }

    async fn play(self: Rc<Simulation>, seed: u64) -> Outcome {
        let chosen = faults::choose(&self);
        self.serve_some(seed);
        spawn_local(Rc::clone(&self.wires).pump());
        self.node.start();
        sleep(Duration::from_millis(500)).await;
        if self.is_heavy {
            spawn_local(Rc::clone(&self).watch());
        }
        let mut tasks = vec![spawn_local(Rc::clone(&self).send_all())];
        for (at, lasts, fault) in chosen.clone() {
            tasks.push(spawn_local(faults::happen(Rc::clone(&self), at, lasts, fault)));
        }
        for task in tasks {
            if let Err(error) = task.await {
                return self.outcome(seed, &chosen, vec![format!("a task of the simulation ended: {error}")], 0);
            }
        }
        self.heal();
        let mut faults = Vec::new();
        let mut settles = self.settles().await;
        if chosen.iter().any(|(_, _, fault)| *fault == Fault::Redrive) {
            // What has died meanwhile.
            faults::redrive(&self).await;
            settles &= self.settles().await;
        }
        if !settles {
            let (left, after) = (self.waiting(), self.story.elapsed_ms() / 1_000);
            faults.push(format!("never ends: these wait after {after} s: {left:?}"));
        }
        faults.append(&mut self.broken.borrow_mut());
        let verdict = self.judge();
        faults.extend(verdict.faults);
        self.node.kill();
        self.outcome(seed, &chosen, faults, verdict.doubles.len())
    }

    fn outcome(&self, seed: u64, chosen: &[(u64, u64, Fault)], faults: Vec<String>, doubled: usize) -> Outcome {
        Outcome {
            seed,
            trace: self.story.trace_hash(),
            faults,
            rows: self.rows(chosen),
            inputs: self.inputs.borrow().len(),
            doubled,
            virtual_ms: self.story.elapsed_ms(),
            story: self.story.lines(),
        }
    }

    /// At least three pipelines of two customers. In one world of three, half of them have a canary.
    fn serve_some(&self, seed: u64) {
        let all: Vec<usize> = (0..self.catalogue.entries.len()).collect();
        let mut served = BTreeMap::new();
        let customers = |served: &BTreeMap<usize, usize>| {
            served.keys().map(|entry| self.catalogue.entries[*entry].customer).collect::<BTreeSet<_>>().len()
        };
        while served.len() < 3 || customers(&served) < 2 || self.story.one_in(2) && served.len() < 6 {
            served.insert(*self.story.pick(&all), 0);
        }
        if seed % 3 == 1 {
            self.story.canaries.borrow_mut().extend(served.keys().step_by(2));
            self.reached("canary");
        }
        self.node.serve(served);
    }

    /// Something was reached that nothing counts.
    pub fn reached(&self, limit: &'static str) {
        self.story.reach(limit);
    }

    /// Perhaps nobody listens to core NATS, until [`Simulation::hears_again`].
    pub fn is_deaf(&self) -> usize {
        self.story.losses.begin(NOT_LISTENING, self.story.elapsed_ms())
    }

    /// Its shards listen again within so many milliseconds.
    pub fn hears_again(&self, span: usize, within_ms: u64) {
        self.story.losses.end(span, self.story.elapsed_ms() + within_ms);
    }

    /// Takes messages of core NATS for accepted that reach a node, and that nothing takes out of its hands.
    fn accept_core(&self) {
        const TAKEN: [Row; 4] = [KILLED, CUT_OFF, BROKEN, RESTARTED];
        let (timeline, losses) = (&self.story.timeline, &self.story.losses);
        for input in self.inputs.borrow_mut().iter_mut() {
            let is_core = matches!(self.catalogue.entries[input.pipeline].intake, Intake::Core(_));
            let at = input.sent_ms;
            if is_core && !timeline.has_since(at, &TAKEN) && !losses.during(at, at).contains(NOT_LISTENING) {
                input.accepted = true;
                self.story.reach("core NATS promised");
            }
        }
    }

    /// Starts the process, if nothing else has.
    pub fn restart(&self) {
        if !self.node.is_running() {
            self.node.start();
        }
    }

    fn heal(&self) {
        self.receivers.all().iter().for_each(|receiver| receiver.behave(Behaviour::Well));
        self.story.tell(|| "everything works again".into());
    }

    /// Looks for as long as the simulation lasts whether more is in hand than may be.
    async fn watch(self: Rc<Simulation>) {
        loop {
            sleep(Duration::from_millis(200)).await;
            let in_hand = self.wires.server(|server| {
                let consumers = server.consumers("VRSKY_PARKED");
                let states = consumers.into_iter().filter_map(|name| server.consumer_state("VRSKY_PARKED", name));
                states.map(|state| state.pending.len()).max().unwrap_or(0)
            });
            if in_hand > MAX_PARKED_IN_HAND {
                self.broken.borrow_mut().push(format!("{in_hand} parked messages of one out are in hand"));
            }
            if in_hand > 100 {
                self.reached("many parked");
            }
        }
    }

    /// Until nothing waits any more, and some time after it, in which a double would come.
    async fn settles(&self) -> bool {
        let mut quiet = 0;
        while quiet < QUIET_SECONDS {
            sleep(Duration::from_secs(1)).await;
            quiet = if self.waiting().is_empty() { quiet + 1 } else { 0 };
            if self.story.elapsed_ms() > MAX_MS {
                return false;
            }
        }
        true
    }

    /// Whether a pipeline is served.
    pub fn serves(&self, customer: &str, name: &str) -> bool {
        let entries = &self.catalogue.entries;
        let is_it = |entry: usize| (entries[entry].customer, entries[entry].name) == (customer, name);
        self.node.served().into_keys().any(is_it)
    }

    /// What has not come to its end, of the pipelines that are served.
    fn waiting(&self) -> BTreeMap<String, usize> {
        let served: Vec<_> = self.node.served().into_keys().map(|entry| &self.catalogue.entries[entry]).collect();
        let durables: Vec<&str> = served
            .iter()
            .filter_map(|entry| match &entry.intake {
                Intake::Stream(subject) => Some(subject.trim_start_matches("in.")),
                _ => None,
            })
            .collect();
        self.wires.server(|server| streams::waiting(server, |customer, name| self.serves(customer, name), &durables))
    }

    fn judge(&self) -> oracle::Verdict {
        self.accept_core();
        let found = self.found();
        let mut verdict = oracle::judge(&self.catalogue, &self.inputs.borrow(), &found, &self.story);
        verdict.faults.extend(oracle::lost_parts(&found, &self.redriven.borrow().parts));
        for (what, rows) in &verdict.doubles {
            let rows: Vec<_> = rows.iter().copied().collect();
            self.story.tell(|| {
                format!("{what}: {}", if rows.is_empty() { "nothing lets it".into() } else { rows.join(", ") })
            });
            self.doubled.borrow_mut().extend(rows);
        }
        verdict
    }

    fn found(&self) -> Found {
        let mut outputs = Vec::new();
        for (name, receiver) in self.receivers.by_name() {
            outputs.extend(receiver.got().into_iter().map(|got| Output {
                destination: name.clone(),
                owner: Some((got.customer, got.pipeline)),
                id: Some(got.id),
                bytes: got.payload.to_vec(),
                at_ms: got.at_ms,
                is_unanswered: got.is_unanswered,
            }));
        }
        outputs.extend(self.wires.listener.heard().into_iter().map(|heard| Output {
            destination: format!("nats:{}", heard.subject),
            owner: None,
            id: None,
            bytes: heard.payload,
            at_ms: heard.at_ms,
            is_unanswered: false,
        }));
        self.wires.server(|server| {
            outputs.extend(server.messages("OUT").map(|message| Output {
                destination: format!("nats:{}", message.subject),
                owner: None,
                id: None,
                bytes: message.payload.to_vec(),
                at_ms: (message.time_ns / 1_000_000).saturating_sub(EPOCH_MS),
                is_unanswered: false,
            }));
            let letters = server.messages("VRSKY_DEAD").map(oracle::Letter::of).collect();
            Found { outputs, letters }
        })
    }

    /// Whether messages wait for a pipeline that is not served.
    pub fn note_set_aside(&self) {
        let is_aside =
            self.wires.server(|server| server.messages("VRSKY_PARKED").any(|one| one.subject.ends_with("._in")));
        if is_aside {
            self.reached("set aside");
        }
    }

    /// What the seed has reached of what `ROWS` names.
    fn rows(&self, chosen: &[(u64, u64, Fault)]) -> BTreeSet<String> {
        let mut rows: BTreeSet<String> = chosen.iter().map(|(_, _, fault)| format!("fault {fault:?}")).collect();
        rows.extend(self.node.counted().iter().map(|metric| format!("counted {metric}")));
        rows.extend(self.answers.borrow().iter().map(|answer| format!("answer {answer}")));
        self.note_set_aside();
        rows.extend(self.story.reached().into_iter().map(|limit| format!("limit {limit}")));
        rows.extend(self.doubled.borrow().iter().map(|row| format!("double {row}")));
        if self.node.is_split() {
            rows.insert("limit split topology".into());
        }
        if self.node.shards() > 1 {
            rows.insert("limit several shards".into());
        }
        self.wires.server(|server| {
            let codes = server.messages("VRSKY_DEAD").filter_map(|letter| header(&letter.headers, "Vrsky-Code"));
            rows.extend(codes.map(|code| format!("letter {code}")));
            let mut letters = server.messages("VRSKY_DEAD");
            let is_again = letters.any(|letter| header(&letter.headers, "Vrsky-Redrive").is_some());
            rows.extend(is_again.then(|| "limit dead again after a redrive".to_owned()));
        });
        rows
    }
}

fn header(headers: &[u8], name: &str) -> Option<String> {
    ::message::Headers::new(headers).get_str(name).map(str::to_owned)
}
