//! One connection of an in, from SUBSCRIBE to its end.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::held::{Arrival, digest};
use super::inbox::Inbox;
use super::incoming::incoming;
use super::options::SourceOptions;
use super::subscribed::Subscribed;
use crate::mqtt::broker::Version;
use crate::mqtt::link::Link;
use crate::mqtt::packet::{Publish, Received};
use crate::mqtt::reason::{self, granted, malformed};

const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Session {
    link: Link,
    inbox: Rc<Inbox>,
    options: Rc<SourceOptions>,
    subscribed: Subscribed,
    asking: Asking,
    /// Then it has to be, while the connection is read.
    answered_by: Option<Instant>,
}

/// What the broker has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asking {
    Nothing,
    /// SUBSCRIBE, for these filters.
    For(Vec<String>),
    /// UNSUBSCRIBE.
    ToEnd(Vec<String>),
}

impl Session {
    pub(super) fn new(link: Link, inbox: Rc<Inbox>, options: Rc<SourceOptions>) -> Session {
        let subscribed = Subscribed::none(&options.broker.address(), &options.client_id);
        Session { link, inbox, options, subscribed, asking: Asking::Nothing, answered_by: None }
    }

    /// Messages of a resumed session may come before the subscription is answered, and more of them than there is room
    /// for: then the answer comes later.
    pub(super) async fn begin(&mut self, is_resumed: bool, deadline: Instant) -> Result<(), Fault> {
        self.inbox.on_connected(is_resumed);
        if is_resumed {
            self.read_subscribed().await;
        }
        let wanted = self.options.filters();
        // 3.1.1 would send all retained messages again.
        let is_there = |filter: &String| {
            let granted = self.subscribed.filters.get(filter).copied().flatten();
            let is_known = self.options.is_alone && granted.is_some_and(|granted| granted >= self.options.qos.level());
            is_resumed && self.options.broker.version == Version::V3 && (self.inbox.has_subscribed.get() || is_known)
        };
        let new: Vec<String> = wanted.iter().filter(|filter| !is_there(filter)).cloned().collect();
        if new.is_empty() {
            self.inbox.has_subscribed.set(true);
            self.end_former().await?;
        } else {
            for filter in &new {
                self.subscribed.filters.insert(filter.clone(), None);
            }
            self.write_subscribed().await;
            self.link.subscribe(&new, self.options.qos)?;
            self.asking = Asking::For(new);
        }
        while self.is_asking() && self.inbox.has_room() {
            let received = timeout_at(deadline, self.link.next(true)).await;
            if let Some(received) = received.map_err(|_| self.no_answer())?? {
                self.take(received).await?;
            }
        }
        Ok(())
    }

    fn is_asking(&self) -> bool {
        self.asking != Asking::Nothing
    }

    /// Ends subscriptions of topics that the pipeline named earlier: only now, so that nothing is missed in between.
    async fn end_former(&mut self) -> Result<(), Fault> {
        let wanted = self.options.filters();
        let former: Vec<String> =
            self.subscribed.filters.keys().filter(|filter| !wanted.contains(filter)).cloned().collect();
        if former.is_empty() {
            self.asking = Asking::Nothing;
            self.write_subscribed().await;
            return Ok(());
        }
        self.link.unsubscribe(&former)?;
        self.asking = Asking::ToEnd(former);
        Ok(())
    }

    async fn on_suback(&mut self, asked: &[String], reasons: &[u8]) -> Result<(), Fault> {
        granted(reasons, asked, self.options.qos)?;
        self.inbox.has_subscribed.set(true);
        for (filter, reason) in asked.iter().zip(reasons) {
            self.subscribed.filters.insert(filter.clone(), Some(*reason));
        }
        self.end_former().await
    }

    /// One that the broker does not end stays written down: it is tried again with the next connection.
    async fn on_unsuback(&mut self, asked: &[String], reasons: &[u8]) -> Result<(), Fault> {
        if self.options.broker.version == Version::V5 && reasons.len() != asked.len() {
            return Err(malformed("its UNSUBACK does not fit the UNSUBSCRIBE"));
        }
        for (at, filter) in asked.iter().enumerate() {
            match reasons.get(at).copied().unwrap_or(0) {
                reason if reason >= 0x80 => {
                    self.inbox.report(reason::fault(
                        &format!("does not end the subscription of {filter:?}"),
                        reason,
                        "",
                    ));
                }
                _ => drop(self.subscribed.filters.remove(filter)),
            }
        }
        self.asking = Asking::Nothing;
        self.write_subscribed().await;
        Ok(())
    }

    async fn read_subscribed(&mut self) {
        let Some(folder) = self.options.state.clone() else { return };
        let (broker, client_id) = (self.options.broker.address(), self.options.client_id.clone());
        match on_disk(move || Subscribed::read(&folder, &broker, &client_id)).await {
            Ok(subscribed) => self.subscribed = subscribed,
            Err(fault) => self.inbox.report(fault),
        }
    }

    /// The in goes on without: it is reported.
    async fn write_subscribed(&self) {
        let (Some(folder), subscribed) = (self.options.state.clone(), self.subscribed.clone()) else { return };
        if let Err(fault) = on_disk(move || subscribed.write(&folder)).await {
            self.inbox.report(fault);
        }
    }

    fn no_answer(&self) -> Fault {
        let asked = if matches!(self.asking, Asking::ToEnd(_)) { "UNSUBSCRIBE" } else { "SUBSCRIBE" };
        Fault::new(Code::MqttTimeout, format!("the broker does not answer {asked}"))
    }

    async fn take(&mut self, received: Received) -> Result<(), Fault> {
        match received {
            Received::Suback(reasons) => match std::mem::replace(&mut self.asking, Asking::Nothing) {
                Asking::For(asked) => self.on_suback(&asked, &reasons).await,
                _ => Err(malformed("it answered what was not asked")),
            },
            Received::Unsuback(reasons) => match std::mem::replace(&mut self.asking, Asking::Nothing) {
                Asking::ToEnd(asked) => self.on_unsuback(&asked, &reasons).await,
                _ => Err(malformed("it answered what was not asked")),
            },
            Received::Publish(publish) => {
                let arrival = arrival(&publish)?;
                self.inbox.on_publish(arrival, || incoming(&publish, &self.options));
                Ok(())
            }
            Received::Pubrel(packet_id) => {
                self.inbox.on_pubrel(packet_id);
                self.link.complete(packet_id)
            }
            Received::Disconnect(number, detail) => Err(reason::fault("closes the connection", number, &detail)),
            Received::Nothing => Ok(()),
            _ => Err(malformed("it answered what was not asked")),
        }
    }

    pub(super) async fn run(mut self) {
        match self.serve().await {
            Ok(()) => self.link.disconnect(Instant::now() + GOODBYE).await,
            Err(fault) => self.inbox.on_lost(fault.code()),
        }
    }

    /// Until the source closes.
    async fn serve(&mut self) -> Result<(), Fault> {
        loop {
            for ack in self.inbox.take_acks() {
                self.link.ack(ack.packet_id, ack.qos, ack.refused)?;
            }
            if self.inbox.is_done() {
                return Ok(());
            }
            let may_read = self.inbox.has_room() && self.link.has_room();
            let is_due = self.is_asking() && may_read;
            let in_time = || Instant::now() + self.options.broker.connect_timeout;
            self.answered_by = if is_due { self.answered_by.or_else(|| Some(in_time())) } else { None };
            let late = sleep_until(self.answered_by.unwrap_or_else(in_time));
            tokio::select! {
                biased;
                () = self.inbox.moved() => {}
                () = late, if is_due => return Err(self.no_answer()),
                received = self.link.next(may_read) => {
                    if let Some(received) = received? {
                        self.take(received).await?;
                    }
                }
            }
        }
    }
}

/// The shard does not wait for the disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).and_then(|done| done);
    done.map_err(|error| Fault::new(Code::MqttState, error.to_string()))
}

fn arrival(publish: &Publish) -> Result<Arrival, Fault> {
    let packet_id = publish.packet_id();
    if packet_id == Some(0) {
        return Err(malformed("a message has the number 0"));
    }
    if publish.topic().is_empty() {
        return Err(malformed("a message has no topic"));
    }
    let digest = packet_id.map_or(0, |_| digest(publish.topic(), publish.payload()));
    Ok(Arrival { packet_id, qos: publish.qos(), is_duplicate: publish.is_duplicate(), digest })
}
