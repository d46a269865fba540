//! What takes too long for the shard, such as unpacking: done on another thread, one at a time, customers in turn.
//!
//! A customer waits in line with one body at a time; its others wait for that one. So whoever has one large body waits for
//! one of each other customer at most, however many those send.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use message::{Code, Fault};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::shares::ShareId;

pub(super) struct Turns {
    /// First come, first served.
    line: Arc<Semaphore>,
    customers: RefCell<BTreeMap<ShareId, Arc<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Turns { line: Arc::new(Semaphore::new(1)), customers: RefCell::default() }
    }
}

impl Turns {
    /// What `work` returns, once it is the customer's turn.
    ///
    /// # Errors
    /// `internal/panic`
    pub(super) async fn run<T: Send + 'static>(
        &self,
        customer: ShareId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let broken = || Fault::new(Code::InternalPanic, "a body could not be worked on");
        let own = self.of(customer).acquire_owned().await.map_err(|_| broken())?;
        let place = Arc::clone(&self.line).acquire_owned().await.map_err(|_| broken())?;
        // The turn ends with the work, also when the sender has gone meanwhile.
        let done = spawn_blocking(move || {
            let _turn = (own, place);
            work()
        });
        done.await.map_err(|_| broken())
    }

    fn of(&self, customer: ShareId) -> Arc<Semaphore> {
        let mut customers = self.customers.borrow_mut();
        // Whoever waits or works holds its own.
        customers.retain(|known, turn| *known == customer || Arc::strong_count(turn) > 1);
        Arc::clone(customers.entry(customer).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use harness::run;
    use tokio::task::spawn_local;

    use super::super::shares::Shares;
    use super::*;

    #[test]
    fn a_customer_with_one_body_waits_for_one_of_each_other() {
        run(async {
            let (mut shares, turns) = (Shares::<String>::default(), std::rc::Rc::new(Turns::default()));
            let done = Arc::new(Mutex::new(Vec::new()));
            let (begin, begun) = channel::<()>();
            let blocked = Mutex::new(Some(begun));
            let mut tasks = Vec::new();
            for name in ["zeta", "zeta", "zeta", "zeta", "acme"] {
                let (share, turns, done) = (shares.of(name), std::rc::Rc::clone(&turns), Arc::clone(&done));
                let first = blocked.lock().unwrap().take();
                tasks.push(spawn_local(async move {
                    let work = move || {
                        first.into_iter().for_each(|begun| begun.recv().unwrap());
                        done.lock().unwrap().push(name);
                    };
                    turns.run(share, work).await.unwrap();
                }));
                tokio::task::yield_now().await;
            }
            begin.send(()).unwrap();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*done.lock().unwrap(), ["zeta", "acme", "zeta", "zeta", "zeta"]);
        });
    }
}
