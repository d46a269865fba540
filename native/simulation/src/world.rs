//! The world of one shard, made of a story.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use connectors::Sink;
use connectors::http::source::RoutedSource;
use connectors::kind::{Host, Secrets, SinkSpec};
use connectors::tls::Tls;
use flow::engine::one_shard::{Elsewhere, Work, World};
use message::Fault;
use nats::Network;
use script::{Done, Executor, Program, ProgramId, Runner, Task};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::network::Wires;
use crate::sink::{ModelSink, Receivers, place_of};
use crate::source::ModelSource;
use crate::story::Story;

pub struct SimulatedWorld {
    pub story: Rc<Story>,
    pub wires: Rc<Wires>,
    pub receivers: Rc<Receivers>,
    pub source: Rc<ModelSource>,
    pub runner: Rc<Runner>,
    /// The name of files' and standard output's receivers of this node.
    pub disk: &'static str,
}

impl World for SimulatedWorld {
    fn now_ms(&self) -> u64 {
        self.story.wall_ms()
    }

    fn secret(&self) -> Result<[u8; 32], Fault> {
        let mut bytes = [0; 32];
        self.story.fork().fill(&mut bytes);
        Ok(bytes)
    }

    fn network(&self) -> Rc<dyn Network> {
        Rc::clone(&self.wires) as Rc<dyn Network>
    }

    fn executor(&self) -> Result<Rc<dyn Executor>, Fault> {
        Ok(Rc::new(Delayed::new(Rc::clone(&self.runner), Rc::clone(&self.story))))
    }

    fn elsewhere(&self) -> Box<dyn Elsewhere> {
        Box::new(Later::new(Rc::clone(&self.story)))
    }

    fn source(&self) -> Result<Option<Rc<dyn RoutedSource>>, Fault> {
        Ok(Some(Rc::clone(&self.source) as Rc<dyn RoutedSource>))
    }

    fn listens_on(&self) -> Option<std::net::SocketAddr> {
        None
    }

    fn tls(&self) -> Result<Tls, Fault> {
        Tls::new(None)
    }

    fn sink(&self, spec: &dyn SinkSpec, _: &dyn Secrets, host: &Host<'_>) -> Result<Rc<dyn Sink>, Fault> {
        let name = match spec.file() {
            Some(path) => format!("{}/{}/{path}", self.disk, host.customer),
            None => place_of(spec),
        };
        Ok(Rc::new(ModelSink {
            receiver: self.receivers.get(&name),
            story: Rc::clone(&self.story),
            policy: spec.policy(),
            is_request: spec.gathering().is_some(),
        }))
    }
}

/// What the shard wants called when scripts are done.
type Wake = Rc<RefCell<Option<Box<dyn Fn() + Send>>>>;

/// Runs scripts at once, and says so later.
struct Delayed {
    runner: Rc<Runner>,
    story: Rc<Story>,
    /// What is run, and not said.
    held: Rc<RefCell<VecDeque<Done>>>,
    said: Rc<RefCell<Vec<Done>>>,
    ran: Rc<Notify>,
    wake: Wake,
}

impl Delayed {
    fn new(runner: Rc<Runner>, story: Rc<Story>) -> Delayed {
        let delayed = Delayed {
            runner,
            story,
            held: Rc::default(),
            said: Rc::default(),
            ran: Rc::default(),
            wake: Rc::default(),
        };
        let (held, said) = (Rc::downgrade(&delayed.held), Rc::clone(&delayed.said));
        let (ran, wake, story) = (Rc::clone(&delayed.ran), Rc::clone(&delayed.wake), Rc::clone(&delayed.story));
        tokio::task::spawn_local(async move {
            loop {
                ran.notified().await;
                sleep(Duration::from_millis(story.random(0..5))).await;
                let Some(held) = held.upgrade() else { return };
                said.borrow_mut().extend(held.borrow_mut().drain(..));
                if let Some(wake) = &*wake.borrow() {
                    wake();
                }
            }
        });
        delayed
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.ran.notify_one();
    }
}

impl Executor for Delayed {
    fn load(&self, program: &Arc<Program>) {
        self.runner.load(program);
    }

    fn unload(&self, program: ProgramId) {
        self.runner.unload(program);
    }

    fn submit(&self, batch: Vec<Task>) -> Result<(), Vec<Task>> {
        if batch.is_empty() {
            return Ok(());
        }
        self.runner.submit(batch)?;
        let mut done = Vec::new();
        self.runner.completed(&mut done);
        self.held.borrow_mut().extend(done);
        self.ran.notify_one();
        Ok(())
    }

    fn completed(&self, into: &mut Vec<Done>) {
        into.append(&mut self.said.borrow_mut());
    }

    fn on_completed(&self, wake: Box<dyn Fn() + Send>) {
        *self.wake.borrow_mut() = Some(wake);
    }

    fn turn(&self) -> Option<(Box<str>, Duration)> {
        None
    }
}

/// Does work one after the other, each a little later.
struct Later {
    queue: Rc<RefCell<VecDeque<Work>>>,
    story: Rc<Story>,
}

impl Later {
    fn new(story: Rc<Story>) -> Later {
        Later { queue: Rc::default(), story }
    }
}

impl Elsewhere for Later {
    fn run(&self, work: Work) {
        self.story.reach("large payload");
        let is_first = self.queue.borrow().is_empty();
        self.queue.borrow_mut().push_back(work);
        if !is_first {
            return;
        }
        let (queue, story) = (Rc::clone(&self.queue), Rc::clone(&self.story));
        tokio::task::spawn_local(async move {
            loop {
                sleep(Duration::from_millis(story.random(1..20))).await;
                // It stays in the queue while it is done: who comes then is not the first.
                let Some(work) = queue.borrow_mut().front_mut().map(|work| std::mem::replace(work, Box::new(|| ())))
                else {
                    return;
                };
                work();
                queue.borrow_mut().pop_front();
                if queue.borrow().is_empty() {
                    return;
                }
            }
        });
    }
}
