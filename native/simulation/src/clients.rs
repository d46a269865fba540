//! Clients: what they send and when, and what they do when nobody accepts it.

use std::rc::Rc;
use std::time::Duration;

use ::message::Code;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::catalogue::Intake;
use crate::message::{Input, headers, mark_line, payload};
use crate::run::Simulation;
use crate::source::{Answer, Request};

/// A client that was not told that its message is accepted tries again, if it has a key.
const CLIENT_TRIES: u32 = 40;

impl Simulation {
    pub async fn send_all(self: Rc<Simulation>) {
        let served: Vec<usize> = self.node.served().into_keys().collect();
        let count = if self.is_heavy { 800 } else { self.story.random(200..260) };
        let mut clients = Vec::new();
        for number in 0..count {
            // In bursts, and with pauses.
            if self.story.one_in(8) {
                sleep(Duration::from_millis(self.story.random(0..self.span_ms * 16 / count))).await;
            }
            let pipeline = if self.is_heavy && !self.story.one_in(5) { served[0] } else { *self.story.pick(&served) };
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let size = self.sizes.of_message(&self.story, count);
            clients.push(spawn_local(Rc::clone(&self).send(number, pipeline, size)));
        }
        for client in clients {
            // A client that fails is seen as an input that nobody has accepted.
            let _ = client.await;
        }
    }

    async fn send(self: Rc<Simulation>, number: u32, pipeline: usize, size: Option<usize>) {
        let catalogue = Rc::clone(&self.catalogue);
        let intake = &catalogue.entries[pipeline].intake;
        // A user's program may publish no more than the server takes.
        let most = self.sizes.max_payload() - mark_line(number).len() - 20;
        let is_http = matches!(intake, Intake::Http(_));
        let size = size.map(|size| if is_http { size } else { size.min(most) });
        let mut payload = payload(&self.story, number, size);
        if !is_http && payload.len() > most {
            payload = payload.slice(..most);
        }
        // Of a large one no letter may have the payload, which tells its number.
        let is_marked = payload.len() > 10_000;
        let headers = headers(&self.story, number, is_marked);
        let key = self.story.one_in(3).then(|| format!("key-{number}"));
        self.inputs.borrow_mut().push(Input {
            number,
            pipeline,
            payload: payload.clone(),
            accepted: false,
            sent_ms: self.story.elapsed_ms(),
            repeated_ms: None,
        });
        match intake {
            Intake::Http(path) => {
                let path = format!("/in/{}{path}", catalogue.entries[pipeline].customer);
                self.post(
                    number,
                    Request { path, payload, key, headers: if is_marked { mark_line(number) } else { String::new() } },
                )
                .await;
            }
            Intake::Stream(subject) => {
                self.wires.server(|server| server.publish(subject, "", &headers, &payload));
                self.accept(number);
            }
            Intake::Core(subject) => self.wires.server(|server| server.publish(subject, "", &headers, &payload)),
        }
    }

    async fn post(&self, number: u32, request: Request) {
        let tries = if request.key.is_some() { CLIENT_TRIES } else { 1 };
        for attempt in 0..tries {
            let answer = self.answer_to(&request).await;
            self.story.tell(|| format!("input {number}, try {attempt}: {answer:?}"));
            if attempt > 0 {
                self.note_repeated(number, answer.is_some());
            }
            if let Some(Answer::Accepted(_)) = answer {
                self.accept(number);
                return self.abuse_key(number, request).await;
            }
            if matches!(answer, Some(Answer::Refused(Code::HttpTooLarge))) {
                return;
            }
            sleep(Duration::from_millis(self.story.random(500..4_000))).await;
        }
    }

    async fn answer_to(&self, request: &Request) -> Option<Answer> {
        let answer = self.node.post(request.clone())?;
        let answer = timeout(Duration::from_secs(30), answer).await.ok().and_then(Result::ok);
        let told = match &answer {
            Some(Answer::Accepted(_)) => "accepted",
            Some(Answer::Refused(code)) => code.as_str(),
            Some(Answer::NoPath) => "404",
            None => "none",
        };
        self.answers.borrow_mut().insert(told);
        answer
    }

    /// Now and then a client sends again what was accepted, or something else under its key.
    async fn abuse_key(&self, number: u32, request: Request) {
        if request.key.is_none() || !self.story.one_in(6) {
            return;
        }
        sleep(Duration::from_millis(self.story.random(0..20_000))).await;
        let is_same = self.story.one_in(2);
        let payload = if is_same { request.payload.clone() } else { "{\"another\":\"body\"}".into() };
        let answer = self.answer_to(&Request { payload, ..request }).await;
        if is_same {
            self.note_repeated(number, answer.is_some());
        }
        self.story.tell(|| format!("input {number}, its key once more, same body {is_same}: {answer:?}"));
        if let (false, Some(Answer::Accepted(id))) = (is_same, &answer) {
            self.broken.borrow_mut().push(format!("input {number}: another body under its key is accepted as {id}"));
        }
    }

    /// Where nobody has answered, it may be stored much later.
    fn note_repeated(&self, number: u32, is_answered: bool) {
        let until = if is_answered { self.story.elapsed_ms() } else { u64::MAX };
        for input in self.inputs.borrow_mut().iter_mut().filter(|input| input.number == number) {
            input.repeated_ms = input.repeated_ms.max(Some(until));
        }
    }

    pub fn accept(&self, number: u32) {
        for input in self.inputs.borrow_mut().iter_mut().filter(|input| input.number == number) {
            input.accepted = true;
        }
    }
}
