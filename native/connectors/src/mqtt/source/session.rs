//! One connection of an in, from SUBSCRIBE to its end.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::held::{Arrival, digest};
use super::inbox::Inbox;
use super::incoming::incoming;
use super::options::SourceOptions;
use crate::mqtt::broker::Version;
use crate::mqtt::link::Link;
use crate::mqtt::packet::{Publish, Received};
use crate::mqtt::reason::{self, granted, malformed};

const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Session {
    link: Link,
    inbox: Rc<Inbox>,
    options: Rc<SourceOptions>,
    /// SUBSCRIBE is not answered yet.
    is_asking: bool,
    /// Then it has to be, while the connection is read.
    answered_by: Option<Instant>,
}

impl Session {
    pub(super) fn new(link: Link, inbox: Rc<Inbox>, options: Rc<SourceOptions>) -> Session {
        Session { link, inbox, options, is_asking: false, answered_by: None }
    }

    /// Messages of a resumed session may come before the subscription is answered, and more of them than there is room
    /// for: then the answer comes later.
    pub(super) async fn begin(&mut self, is_resumed: bool, deadline: Instant) -> Result<(), Fault> {
        self.inbox.on_connected(is_resumed);
        // 3.1.1 would send all retained messages again.
        if self.options.broker.version == Version::V3 && is_resumed && self.inbox.has_subscribed.get() {
            return Ok(());
        }
        self.link.subscribe(&self.options.filters(), self.options.qos)?;
        self.is_asking = true;
        while self.is_asking && self.inbox.has_room() {
            let received = timeout_at(deadline, self.link.next(true)).await;
            if let Some(received) = received.map_err(|_| no_suback())?? {
                self.take(received)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, received: Received) -> Result<(), Fault> {
        match received {
            Received::Suback(reasons) if self.is_asking => {
                self.is_asking = false;
                granted(&reasons, &self.options.filters(), self.options.qos)?;
                self.inbox.has_subscribed.set(true);
                Ok(())
            }
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
            let is_due = self.is_asking && may_read;
            let in_time = || Instant::now() + self.options.broker.connect_timeout;
            self.answered_by = if is_due { self.answered_by.or_else(|| Some(in_time())) } else { None };
            let late = sleep_until(self.answered_by.unwrap_or_else(in_time));
            tokio::select! {
                biased;
                () = self.inbox.moved() => {}
                () = late, if is_due => return Err(no_suback()),
                received = self.link.next(may_read) => {
                    if let Some(received) = received? {
                        self.take(received)?;
                    }
                }
            }
        }
    }
}

fn no_suback() -> Fault {
    Fault::new(Code::MqttTimeout, "the broker does not answer SUBSCRIBE")
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
