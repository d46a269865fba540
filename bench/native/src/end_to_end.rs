//! The whole way through a node: POSTs on keep-alive connections, one at a time on each, and takes what the node
//! delivers, as an HTTP server or as a subscriber of core NATS. All in one process, so that one clock says how long a
//! message took from its POST to its delivery.
//!
//! ```text
//! connections ──POST──► node ──POST──► server | subscription
//! ```
//!
//! At most `--window` messages are accepted and not yet delivered. With `--rate`, messages are posted at that rate;
//! one that is posted late, because no connection was free, counts from when it was due.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::arguments::Arguments;
use crate::cpu;
use crate::deliveries::{Deliveries, Expected};
use crate::far_end;
use crate::frames::{Frame, Frames};
use crate::http_load::exchange;
use crate::order::Order;
use crate::waits::{Waits, micros};

const QUIET: Duration = Duration::from_millis(100);

pub struct Run {
    clock: Instant,
    target: String,
    connections: usize,
    patience: Duration,
    /// Between two messages; none when each is posted as soon as it can be.
    interval: Duration,
    room: Semaphore,
    frames: RefCell<Frames>,
    left: RefCell<Range<usize>>,
    accepted: Cell<usize>,
    refused: Cell<usize>,
    accepted_at: Cell<Instant>,
    deliveries: RefCell<Deliveries>,
    waits: RefCell<Waits>,
    delivered_at: Cell<Instant>,
    delivered: Notify,
}

/// Whether everything was accepted, and delivered once and as it was to be.
pub fn run(options: &Arguments) -> bool {
    let (count, warm) = (options.number("count", 20_000), options.number("warm", 0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = Rc::new(Run::new(options, warm + count));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        far_end::open(options, Rc::clone(&run)).await;
        let cpu = cpu::used();
        let lives = run.pass(0..warm).await;
        run.waits.borrow_mut().clear();
        let started = Instant::now();
        let lives = lives && run.pass(warm..warm + count).await;
        let cpu = cpu::per_message(cpu, warm + count);
        if !lives {
            eprintln!("nothing was delivered for {:?}", run.patience);
        }
        // What comes now is wrong or double.
        sleep(QUIET).await;
        run.report(started, count, warm + count, &cpu)
    })
}

impl Run {
    fn new(options: &Arguments, total: usize) -> Run {
        let (now, rate) = (Instant::now(), options.number("rate", 0));
        Run {
            clock: now,
            target: options.text("target").to_owned(),
            connections: options.number("connections", 64),
            patience: Duration::from_secs(options.number("patience", 45) as u64),
            interval: Duration::from_secs(1).checked_div(u32::try_from(rate).unwrap()).unwrap_or_default(),
            room: Semaphore::new(options.number("window", 1_000)),
            frames: RefCell::new(requests(options)),
            left: RefCell::new(0..0),
            accepted: Cell::new(0),
            refused: Cell::new(0),
            accepted_at: Cell::new(now),
            deliveries: RefCell::new(Deliveries::new(Expected::read(options), false, total)),
            waits: RefCell::new(Waits::new(total)),
            delivered_at: Cell::new(now),
            delivered: Notify::new(),
        }
    }

    /// Posts these and waits for their deliveries; `false` when none came for too long.
    async fn pass(self: &Rc<Self>, numbers: Range<usize>) -> bool {
        let (first, end) = (numbers.start, numbers.end);
        self.left.replace(numbers);
        let started = Instant::now();
        for _ in 0..self.connections {
            spawn_local(Rc::clone(self).post(first, started));
        }
        while self.deliveries.borrow().delivered + self.refused.get() < end
            || self.accepted.get() + self.refused.get() < end
        {
            if timeout(self.patience, self.delivered.notified()).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn post(self: Rc<Self>, first: usize, started: Instant) {
        let mut socket = TcpStream::connect(&*self.target).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let (mut request, mut answer) = (Vec::new(), Vec::with_capacity(4096));
        while let Some(number) = self.next().await {
            let sent_at = self.due(started + self.interval * u32::try_from(number - first).unwrap()).await;
            self.waits.borrow_mut().sent(number..number + 1, sent_at);
            request.clear();
            request.extend_from_slice(self.frames.borrow_mut().from(number, number + 1).0);
            exchange(&mut socket, &request, &mut answer).await;
            self.count_answer(&answer);
        }
    }

    async fn next(&self) -> Option<usize> {
        if self.left.borrow().is_empty() {
            return None;
        }
        self.room.acquire().await.unwrap().forget();
        let number = self.left.borrow_mut().next();
        if number.is_none() {
            self.room.add_permits(1);
        }
        number
    }

    /// Waits for it; from when the message counts as sent.
    async fn due(&self, due: Instant) -> u32 {
        if self.interval.is_zero() {
            return micros(self.clock);
        }
        let early = due.saturating_duration_since(Instant::now());
        if early.is_zero() {
            return u32::try_from(due.duration_since(self.clock).as_micros()).unwrap_or(u32::MAX);
        }
        sleep(early).await;
        micros(self.clock)
    }

    fn count_answer(&self, answer: &[u8]) {
        self.accepted_at.set(Instant::now());
        if answer.starts_with(b"HTTP/1.1 202") {
            self.accepted.set(self.accepted.get() + 1);
        } else {
            if self.refused.get() == 0 {
                eprintln!("refused: {}", String::from_utf8_lossy(answer));
            }
            self.refused.set(self.refused.get() + 1);
            self.room.add_permits(1);
        }
        self.delivered.notify_one();
    }

    /// One delivery of the node.
    pub fn take(&self, payload: &[u8]) {
        if let Some(number) = self.deliveries.borrow_mut().take(payload) {
            self.waits.borrow_mut().delivered(number, micros(self.clock));
            self.room.add_permits(1);
        }
        self.delivered_at.set(Instant::now());
        self.delivered.notify_one();
    }

    /// Prints what was seen; without rates when something is missing, wrong, double or refused.
    fn report(&self, started: Instant, count: usize, total: usize, cpu: &str) -> bool {
        let (deliveries, accepted, refused) = (self.deliveries.borrow(), self.accepted.get(), self.refused.get());
        if refused > 0 {
            eprintln!("{refused} of {total} messages were refused");
        }
        let clean = deliveries.verdict() && accepted == total;
        #[allow(clippy::cast_precision_loss)]
        let rate = |until: &Cell<Instant>| count as f64 / until.get().duration_since(started).as_secs_f64();
        let figures = format!(
            ",\"accepted_rate\":{:.0},\"rate\":{:.0},\"cpu_us\":{cpu},{}",
            rate(&self.accepted_at),
            rate(&self.delivered_at),
            self.waits.borrow_mut().json()
        );
        println!(
            "{{\"sent\":{total},\"accepted\":{accepted},\"refused\":{refused},{}{}}}",
            deliveries.json(),
            if clean { &figures } else { "" }
        );
        clean
    }
}

fn requests(options: &Arguments) -> Frames {
    let mut order = Order::new(options.number("items", 2), true);
    Frames::new(|number| {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
            options.text("path"),
            order.len()
        );
        let mut bytes = head.into_bytes();
        let numbers = vec![bytes.len() + order.place()];
        bytes.extend_from_slice(order.set(number));
        Frame { bytes, numbers }
    })
}
