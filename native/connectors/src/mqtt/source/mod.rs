//! The client of an in.
//!
//! ```text
//!  link ──► session.rs   one task a connection: packets in, acks out
//!              │ ▲
//!              ▼ │ acks, in the order of arrival
//!           inbox.rs     messages until they are settled (held.rs); what the broker is owed for them (answers.rs)
//!              │ ▲
//!    read_batch▼ │settle                                   incoming.rs: a PUBLISH as an Incoming
//!             the host
//! ```
//!
//! The broker is acked when the host has stored the message, and not before. What it does not store is offered again;
//! meanwhile it counts in the window, and the broker is not read beyond it.

mod answers;
mod held;
mod inbox;
mod incoming;
mod options;
mod session;
mod spec;
mod subscribed;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use message::Fault;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Start};
use super::reason::short_session;
use crate::contract::{ConnectorError, Health, LocalFuture, Read, Settled, Source};
use crate::http::guard::AddressPolicy;
use crate::tls::Tls;
use inbox::Inbox;
use session::Session;

pub use options::SourceOptions;
pub use spec::MqttSourceKind;

pub struct MqttSource {
    options: Rc<SourceOptions>,
    tls: Option<Tls>,
    policy: AddressPolicy,
    inbox: Rc<Inbox>,
    task: RefCell<Option<JoinHandle<()>>>,
    /// Seconds that the broker keeps the session, where that is less than asked and already reported.
    short_session: Cell<Option<u32>>,
    reports: RefCell<Vec<Fault>>,
}

impl MqttSource {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// `config/invalid-value` for options or certificates that cannot be used.
    pub fn new(options: SourceOptions, policy: &AddressPolicy) -> Result<MqttSource, Fault> {
        options.check()?;
        let tls = options.broker.tls.as_ref().map(Tls::of).transpose()?;
        let inbox = Rc::new(Inbox::new(usize::from(options.window.max(1)), options.max_held_bytes));
        Ok(MqttSource {
            options: Rc::new(options),
            tls,
            policy: policy.clone(),
            inbox,
            task: RefCell::default(),
            short_session: Cell::default(),
            reports: RefCell::default(),
        })
    }

    /// Once for each time that the broker grants, not at each connect.
    fn note_session_expiry(&self, granted: Option<u32>) {
        let asked = self.options.session_expiry.as_secs();
        let short = granted.filter(|granted| u64::from(*granted) < asked);
        if let Some(granted) = short
            && self.short_session.get() != short
        {
            self.reports.borrow_mut().push(short_session(granted, asked));
        }
        self.short_session.set(short);
    }

    async fn open(&self) -> Result<(), Fault> {
        let broker = &self.options.broker;
        let deadline = Instant::now() + broker.connect_timeout;
        let start = Start {
            client_id: &self.options.client_id,
            session_expiry: Some(self.options.session_expiry),
            receive_maximum: self.options.window.max(1),
        };
        let (link, connack) = Link::open(broker, self.tls.as_ref(), &self.policy, &start, deadline).await?;
        self.note_session_expiry(connack.session_expiry);
        let mut session = Session::new(link, Rc::clone(&self.inbox), Rc::clone(&self.options));
        session.begin(connack.session_present, deadline).await?;
        let task = tokio::task::spawn_local(session.run());
        if let Some(former) = self.task.borrow_mut().replace(task) {
            former.abort();
        }
        Ok(())
    }
}

impl Source for MqttSource {
    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let opened = self.open().await;
            if let Err(fault) = &opened {
                self.inbox.on_lost(fault.code());
            }
            opened
        })
    }

    fn health(&self) -> Health {
        self.inbox.health()
    }

    /// What the broker grants less of than it was asked for, and what cannot be written down.
    fn take_item_faults(&self) -> Vec<Fault> {
        let mut reports = self.reports.take();
        reports.append(&mut self.inbox.reports.borrow_mut());
        reports
    }

    fn read_batch(&self, messages: usize, bytes: usize, wait: Duration) -> LocalFuture<'_, Read> {
        Box::pin(self.inbox.read_batch(messages, bytes, wait))
    }

    fn settle(&self, item: u64, outcome: Settled) {
        self.inbox.settle(item, outcome);
    }

    /// What the broker was not acked for it keeps in the session, for the next connection.
    fn close(&self, deadline: Duration) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            let deadline = Instant::now() + deadline;
            self.inbox.begin_close();
            let task = self.task.borrow_mut().take();
            if let Some(mut task) = task
                && timeout_at(deadline, &mut task).await.is_err()
            {
                task.abort();
            }
            self.inbox.end();
        })
    }
}

impl Drop for MqttSource {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

/// When a message is offered again that the host has refused without a time.
fn pause(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(5)).min(Duration::from_secs(30))
}

type Batch = Result<Vec<crate::contract::Incoming>, ConnectorError>;
