//! The client of an out.
//!
//! ```text
//! Delivery ──► request.rs   topic, properties
//!                 ▼
//!              queue.rs     those that wait for the connection, those that wait for the broker's answer
//!                 ▼ ▲
//!              session.rs   one task a connection: PUBLISH ─► PUBACK, or PUBREC ─► PUBREL ─► PUBCOMP
//! ```
//!
//! It connects when there is something to publish, and tries once: what `Retry` means is the host's business. A session
//! lasts as long as its connection, so a message whose answer is lost with it comes twice.

mod options;
mod queue;
mod request;
mod session;
mod spec;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::future::join_all;
use message::{Code, Fault};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::broker::{Qos, Version};
use super::link::{Link, Start};
use super::packet::Connack;
use crate::contract::{Delivery, Health, LocalFuture, Outcome, Sink};
use crate::http::guard::AddressPolicy;
use crate::tls::Tls;
use queue::Queue;
use request::Request;

pub use options::SinkOptions;
pub use spec::MqttSinkKind;

/// What every broker holds of QoS 2.
const UNTOLD: u16 = 10;

/// One out of one pipeline.
pub struct MqttSink {
    options: SinkOptions,
    tls: Option<Tls>,
    policy: AddressPolicy,
    queue: Rc<Queue>,
    task: RefCell<Option<JoinHandle<()>>>,
    /// Batches connect one at a time: the others find the connection that the first has made.
    connecting: Mutex<()>,
    failing: Cell<Option<Code>>,
}

impl MqttSink {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// `config/invalid-value` for options or certificates that cannot be used.
    pub fn new(options: SinkOptions, policy: &AddressPolicy) -> Result<MqttSink, Fault> {
        options.check()?;
        let tls = options.broker.tls.as_ref().map(Tls::of).transpose()?;
        Ok(MqttSink {
            tls,
            policy: policy.clone(),
            queue: Rc::new(Queue::new()),
            task: RefCell::default(),
            connecting: Mutex::new(()),
            failing: Cell::default(),
            options,
        })
    }

    async fn open(&self) -> Result<(Link, Connack), Fault> {
        let broker = &self.options.broker;
        let client_id = format!("{}-{}", self.options.client_id, unique());
        let start = Start { client_id: &client_id, session_expiry: None, receive_maximum: 1 };
        let deadline = Instant::now() + broker.connect_timeout;
        let (link, connack) = Link::open(broker, self.tls.as_ref(), &self.policy, &start, deadline).await?;
        if self.options.qos.level() > connack.max_qos {
            let reason = format!("the broker takes QoS {} at most", connack.max_qos);
            return Err(Fault::new(Code::MqttNotSupported, reason));
        }
        if self.options.retain && !connack.keeps_retained {
            return Err(Fault::new(Code::MqttNotSupported, "the broker keeps no messages, as `retain` wants it"));
        }
        Ok((link, connack))
    }

    async fn be_connected(&self) -> Result<(), Fault> {
        let _turn = self.connecting.lock().await;
        if self.queue.is_open() {
            return Ok(());
        }
        let opened = self.open().await;
        self.failing.set(opened.as_ref().err().map(Fault::code));
        let (link, connack) = opened?;
        let window = window(&self.options, connack.receive_maximum);
        self.queue.open();
        let task = session::run(link, Rc::clone(&self.queue), window);
        if let Some(former) = self.task.borrow_mut().replace(tokio::task::spawn_local(task)) {
            former.abort();
        }
        Ok(())
    }

    async fn deliver(&self, request: Request) -> Outcome {
        let deadline = Instant::now() + self.options.timeout;
        match timeout_at(deadline, self.queue.publish(request)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // A broker that has lost a message would keep its place in the window for ever.
                self.queue.break_off();
                again(Fault::new(Code::MqttTimeout, "the broker did not answer PUBLISH in time"))
            }
        }
    }
}

impl Sink for MqttSink {
    /// Says who we are, and leaves again: another client, which subscribes to nothing.
    fn check(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let (link, _) = self.open().await?;
            link.disconnect(Instant::now() + self.options.broker.connect_timeout).await;
            Ok(())
        })
    }

    fn connect(&self) -> LocalFuture<'_, Result<(), Fault>> {
        Box::pin(self.be_connected())
    }

    fn health(&self) -> Health {
        self.failing.get().map_or(Health::Up, Health::Failing)
    }

    fn write_batch<'a>(&'a self, batch: &'a [Delivery<'a>]) -> LocalFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            if let Err(fault) = self.be_connected().await {
                let outcome =
                    if fault.code() == Code::MqttRefusedAddress { Outcome::Permanent(fault) } else { again(fault) };
                return vec![outcome; batch.len()];
            }
            let deliver = async |delivery| match Request::new(&self.options, delivery) {
                Ok(request) => self.deliver(request).await,
                Err(fault) => Outcome::Permanent(fault),
            };
            join_all(batch.iter().map(deliver)).await
        })
    }

    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.queue.close();
            let task = self.task.borrow_mut().take();
            if let Some(mut task) = task
                && timeout_at(Instant::now() + self.options.timeout, &mut task).await.is_err()
            {
                task.abort();
            }
        })
    }
}

impl Drop for MqttSink {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

/// A broker of 3.1.1 cannot say how many messages of QoS 2 it holds before they are complete. Mosquitto (2.0) answers
/// all, and loses what is beyond 20.
fn window(options: &SinkOptions, receive_maximum: u16) -> usize {
    let is_untold = options.broker.version == Version::V3 && options.qos == Qos::ExactlyOnce;
    let most = if is_untold { UNTOLD } else { receive_maximum };
    usize::from(options.window.min(most).max(1))
}

fn again(fault: Fault) -> Outcome {
    Outcome::Retry { fault, after: None }
}

/// Tells connections of the same out apart: a broker ends the older one of two with the same id.
fn unique() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Seeded by the system's randomness.
    format!("{:08x}", RandomState::new().hash_one(0) as u32)
}

/// Whether it goes with MQTT 3.1.1 at all.
fn has_properties(version: Version) -> bool {
    version == Version::V5
}
