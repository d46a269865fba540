//! New queues: what is parked of them is not known yet. One request tells it of all that were opened together.

use super::*;

/// New queues up to this many are polled one by one: the list of all subjects of the stream may be long.
const MAX_SINGLE: usize = 8;

/// New queues that were not polled yet.
#[derive(Default)]
pub struct FirstPolls {
    waiting: Vec<QueueId>,
    /// Whether the task runs, or is about to.
    is_running: bool,
}

/// Queues that one request is made for.
pub struct NewQueues(Vec<(QueueId, PollRequest)>);

impl FirstPolls {
    /// A queue was opened.
    pub fn open(&mut self, queue: &mut Queue, effects: &mut Vec<Effect>) {
        queue.parking.is_supervised = true;
        self.waiting.push(queue.id);
        if !std::mem::replace(&mut self.is_running, true) {
            effects.push(Effect::PollNew);
        }
    }
}

impl Delivery {
    /// What the task of new queues asks next; `None` ends it.
    pub fn begin_first_polls(&mut self) -> Option<NewQueues> {
        loop {
            let waiting = std::mem::take(&mut self.first_polls.waiting);
            if waiting.is_empty() {
                self.first_polls.is_running = false;
                return None;
            }
            if waiting.len() > MAX_SINGLE {
                let requests = waiting.into_iter().filter_map(|id| Some((id, self.begin_poll(id)?)));
                return Some(NewQueues(requests.collect()));
            }
            waiting.into_iter().for_each(|id| self.supervise(id));
        }
    }

    /// The server has told what is parked, by subject; `None` when that is not known. Queues of which something is
    /// parked, or whose out fails meanwhile, are looked after one by one.
    pub fn on_first_polls(
        &mut self,
        settlement: &mut Settlement,
        consumers: &mut Consumers,
        queues: NewQueues,
        stored: Option<&BTreeMap<String, u64>>,
    ) {
        let nothing = PollResponse { stored: 0, last_sequence: 0, untried: 0, is_idle: false };
        for (id, request) in queues.0 {
            let is_empty = stored.is_some_and(|stored| stored.get(&*request.subject).is_none_or(|count| *count == 0));
            if is_empty {
                self.on_polled(settlement, consumers, id, &request, nothing);
            }
            self.supervise(id);
        }
    }

    /// Starts the parking task of a new queue, unless nothing is parked and its out works.
    fn supervise(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.parking.is_supervised = false;
        if queue.phase() != Phase::Closed && !queue.retired {
            supervise(queue, &mut self.effects);
        }
    }
}
