//! A thread beside the shard, for work that would hold it up.

use std::cell::RefCell;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Reports for itself what became of it. Does not panic.
pub type Work = Box<dyn FnOnce() + Send>;

pub trait Elsewhere {
    /// Has the work done, after what was given before.
    fn run(&self, work: Work);
}

/// Started by its first work; not joined: it ends with the shard, after the work it is at.
#[derive(Default)]
pub struct WorkThread {
    work: RefCell<Option<Sender<Work>>>,
}

impl Elsewhere for WorkThread {
    fn run(&self, work: Work) {
        let mut thread = self.work.borrow_mut();
        let Some(work) = send(thread.as_ref(), work) else { return };
        *thread = start();
        let Some(work) = send(thread.as_ref(), work) else { return };
        // Without a thread it is done here, late rather than never.
        work();
    }
}

/// Gives the work back when there is no thread.
fn send(thread: Option<&Sender<Work>>, work: Work) -> Option<Work> {
    match thread {
        Some(thread) => thread.send(work).err().map(|error| error.0),
        None => Some(work),
    }
}

fn start() -> Option<Sender<Work>> {
    let (sender, waiting): (_, Receiver<Work>) = channel();
    let thread = std::thread::Builder::new().name("large".into());
    thread.spawn(move || waiting.into_iter().for_each(|work| work())).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_ended_is_started_again() {
        let thread = WorkThread { work: RefCell::new(Some(channel().0)) };
        let (sender, done) = channel();
        thread.run(Box::new(move || sender.send(std::thread::current().name().map(str::to_owned)).unwrap()));
        assert_eq!(done.recv().unwrap().as_deref(), Some("large"));
    }
}
