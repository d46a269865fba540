//! Once a second: what has waited too long, how full the backlogs are, and how the connectors are.

use std::rc::Rc;
use std::time::Duration;

use message::{Code, Fault};
use nats::jetstream;

use super::backlog::{Unknown, stored};
use super::core::Core;
use super::install::Installed;
use super::ledger::Origin;
use super::parking;
use super::shard::Shard;

/// A PubAck that has not come for this long is taken for lost.
const PUB_ACK_TICKS: u64 = 5;
/// `ack_wait` is 10 s; everything in hand says in time that it is still worked on.
const WPI_EVERY: u64 = 4;

/// Closed outs are looked at for parked messages that nobody else delivers.
const LOOK_EVERY: u64 = 30;
/// A sink that could not be reached, and has had no message since, is tried again.
const CONNECT_EVERY: u64 = 5;

/// Ticks for as long as the shard lives.
pub async fn run(shard: Rc<Shard>) {
    let mut interval = every_second();
    loop {
        interval.tick().await;
        shard.with_core(Core::on_tick);
        shard.look_at_scripts();
    }
}

/// Looks that wait for the server: no tick waits for them.
pub async fn look(shard: Rc<Shard>) {
    let mut interval = every_second();
    for second in 1_u64.. {
        interval.tick().await;
        refresh_backlogs(&shard).await;
        if second.is_multiple_of(LOOK_EVERY) {
            parking::look_again(&shard).await;
        }
    }
}

fn every_second() -> tokio::time::Interval {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

impl Core {
    fn on_tick(&mut self, out: &mut Vec<u8>) {
        self.publisher.tick += 1;
        let late = Fault::new(Code::NatsTimeout, "no PubAck came in time");
        self.abandon(&late, out, |origin, age, waits| waits && origin != Origin::Core && age >= PUB_ACK_TICKS);
        if self.connected {
            self.resend_core(PUB_ACK_TICKS, out);
        }
        if self.connected && self.publisher.tick.is_multiple_of(WPI_EVERY) {
            let ledger = &self.publisher.ledger;
            for receipt in ledger.pick(self.publisher.tick, |origin, _, _| origin == Origin::JetStream) {
                jetstream::encode_wpi(out, ledger.token(receipt));
            }
        }
        self.top_up(out);
        if self.publisher.tick.is_multiple_of(CONNECT_EVERY) {
            self.connect_again();
        }
        self.note_health();
    }

    /// Pipelines that took something in since the last look and whose own cap lies below their
    /// tier's, which the stream itself enforces.
    fn to_refresh(&self) -> Vec<Rc<Installed>> {
        let current = self.pipelines.values();
        current.filter(|i| i.own_backlog && (i.active.take() || i.backlog_full.get())).map(Rc::clone).collect()
    }
}

async fn refresh_backlogs(shard: &Rc<Shard>) {
    let pipelines = shard.core.borrow().to_refresh();
    for installed in pipelines {
        match stored(&shard.outbox, &installed.logic_stream, &installed.logic_subject).await {
            Ok(waiting) => installed.backlog_full.set(waiting >= installed.pipeline.backlog()),
            Err(Unknown::Refused) => {}
            Err(Unknown::NoAnswer) => return,
        }
    }
}
