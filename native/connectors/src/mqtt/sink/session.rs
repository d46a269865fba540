//! One connection of an out.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use tokio::time::Instant;

use super::queue::{InFlight, Queue, State};
use crate::contract::Outcome;
use crate::mqtt::link::Link;
use crate::mqtt::packet::Received;
use crate::mqtt::reason::{self, malformed};

const GOODBYE: Duration = Duration::from_secs(2);

pub(super) async fn run(link: Link, queue: Rc<Queue>, window: usize) {
    let mut session = Session { link, queue, window, in_flight: InFlight::default() };
    let fault = match session.serve().await {
        Ok(()) => Fault::new(Code::MqttDisconnected, "the out has closed"),
        Err(fault) => fault,
    };
    session.queue.fail(&fault);
    session.in_flight.fail(&fault);
    session.link.disconnect(Instant::now() + GOODBYE).await;
}

struct Session {
    link: Link,
    queue: Rc<Queue>,
    window: usize,
    in_flight: InFlight,
}

impl Session {
    /// Until the out closes.
    async fn serve(&mut self) -> Result<(), Fault> {
        loop {
            match self.queue.state() {
                State::Broken => return Err(Fault::new(Code::MqttTimeout, "the broker did not answer in time")),
                State::Closing if self.queue.is_empty() && self.in_flight.len() == 0 => return Ok(()),
                _ => {}
            }
            self.publish_waiting()?;
            let queue = Rc::clone(&self.queue);
            tokio::select! {
                biased;
                received = self.link.next(true) => match received? {
                    Some(received) => self.take(received)?,
                    None => {
                        if self.link.is_written() {
                            self.in_flight.on_written();
                        }
                    }
                },
                () = queue.moved.notified() => {}
            }
        }
    }

    fn publish_waiting(&mut self) -> Result<(), Fault> {
        while self.in_flight.len() < self.window && self.link.has_room() {
            let Some((request, sender)) = self.queue.next() else { break };
            match self.link.publish(&request.message())? {
                Ok(packet_id) => self.in_flight.add(packet_id, sender),
                Err(fault) => {
                    let _ = sender.send(Outcome::Permanent(fault));
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, received: Received) -> Result<(), Fault> {
        match received {
            Received::Puback(packet_id, answer) => self.in_flight.on_answer(packet_id, answer),
            Received::Pubrec(packet_id, answer) => {
                if self.in_flight.on_recorded(packet_id, answer) {
                    self.link.release(packet_id)?;
                }
            }
            Received::Pubcomp(packet_id, answer) => self.in_flight.on_answer(packet_id, answer),
            Received::Disconnect(number, detail) => {
                return Err(reason::fault("closes the connection", number, &detail));
            }
            Received::Nothing => {}
            _ => return Err(malformed("it sent an out something else than answers")),
        }
        Ok(())
    }
}
