//! The servers of a cluster: those that were named, and those that servers told of.
//!
//! ```text
//! lost ──► the others, one after the other, at once ──► pause ──► all of them ──► longer pause ──► ...
//! ```

use std::collections::VecDeque;
use std::net::IpAddr;

use super::Server;
use super::options::server_of;

/// Addresses of one INFO that are looked at.
const MAX_TOLD: usize = 1024;
/// A server may tell of more; the rest is left out.
const MAX_LEARNT: usize = 64;
/// Failures in a row after which a learnt server is forgotten. One that is back is told of again.
const MAX_FAILURES: u32 = 60;

/// A server, and who it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub server: Server,
    /// The host that its certificate has to be for. A learnt IP address has that of the server that told of it, as in
    /// the official clients: certificates of a cluster are rarely for addresses.
    pub tls_name: String,
}

impl Candidate {
    pub fn named(server: &Server) -> Candidate {
        Candidate { server: server.clone(), tls_name: server.host.clone() }
    }
}

struct Member {
    candidate: Candidate,
    learnt: bool,
    /// In a row.
    failures: u32,
}

/// Whom to try, and in which order.
pub struct Pool {
    /// Named ones first.
    members: Vec<Member>,
    /// Of this round.
    left: VecDeque<Candidate>,
    /// The one that is connected, or was last.
    current: Candidate,
}

impl Pool {
    /// `servers`: the named ones. `current`: which of them is connected.
    pub fn new(servers: &[Server], current: Candidate) -> Pool {
        let named = |server| Member { candidate: Candidate::named(server), learnt: false, failures: 0 };
        Pool { members: servers.iter().map(named).collect(), left: VecDeque::new(), current }
    }

    /// Takes over what the connected server says of its cluster, `urls`, in an order of `random`. `proven`: it was said
    /// within TLS, or there is none.
    ///
    /// Learnt servers that are not there any more are forgotten. Servers that say nothing change nothing: they may be
    /// told not to.
    pub fn learn(&mut self, urls: &[String], proven: bool, random: impl FnOnce() -> u64) {
        let told = urls.iter().take(MAX_TOLD).filter_map(|url| server_of(url).ok());
        let told: Vec<Server> = told.filter(|server| server.port != 0).collect();
        if told.is_empty() {
            return;
        }
        let current = &self.current.server;
        self.members.retain(|member| {
            !member.learnt || member.candidate.server == *current || told.contains(&member.candidate.server)
        });
        let mut new = Vec::new();
        for server in told {
            let Some(tls_name) = self.tls_name(&server, proven) else { continue };
            let candidate = Candidate { server, tls_name };
            if !new.contains(&candidate) && !self.knows(&candidate.server) {
                new.push(candidate);
            }
        }
        if new.len() > 1 {
            // All clients of a server that ends would go to the same one.
            fastrand::Rng::with_seed(random()).shuffle(&mut new);
        }
        let room = MAX_LEARNT.saturating_sub(self.members.iter().filter(|member| member.learnt).count());
        new.truncate(room);
        self.members.extend(new.into_iter().map(|candidate| Member { candidate, learnt: true, failures: 0 }));
    }

    /// `None`: anybody in between could have said it, to be sent the credentials.
    fn tls_name(&self, server: &Server, proven: bool) -> Option<String> {
        let is_address = |host: &str| host.parse::<IpAddr>().is_ok();
        match (is_address(&server.host), is_address(&self.current.tls_name)) {
            (true, false) => Some(self.current.tls_name.clone()),
            (true, true) => Some(server.host.clone()),
            (false, _) => proven.then(|| server.host.clone()),
        }
    }

    fn knows(&self, server: &Server) -> bool {
        self.members.iter().any(|member| member.candidate.server == *server)
    }

    /// Whether there is another server than the one that is connected.
    pub fn has_others(&self) -> bool {
        self.members.iter().any(|member| member.candidate.server != self.current.server)
    }

    /// Begins a round over the servers but the one that is connected, or was.
    pub fn begin_with_others(&mut self) {
        self.begin();
        let current = &self.current.server;
        self.left.retain(|candidate| candidate.server != *current);
    }

    /// Begins a round over all servers, the one that is connected, or was, last. Gives the first.
    pub fn begin_with_all(&mut self) -> Candidate {
        self.begin();
        self.next().unwrap_or_else(|| self.current.clone())
    }

    fn begin(&mut self) {
        let mut all: VecDeque<_> = self.members.iter().map(|member| member.candidate.clone()).collect();
        if let Some(index) = all.iter().position(|candidate| candidate.server == self.current.server) {
            all.rotate_left(index + 1);
        }
        self.left = all;
    }

    /// Nobody is left in this round.
    pub fn end_round(&mut self) {
        self.left.clear();
    }

    /// The next one of the round.
    pub fn next(&mut self) -> Option<Candidate> {
        self.left.pop_front()
    }

    pub fn on_connected(&mut self, candidate: Candidate) {
        for member in self.members.iter_mut().filter(|member| member.candidate == candidate) {
            member.failures = 0;
        }
        self.end_round();
        self.current = candidate;
    }

    pub fn on_failed(&mut self, candidate: &Candidate) {
        self.members.retain_mut(|member| {
            if member.candidate != *candidate {
                return true;
            }
            member.failures = member.failures.saturating_add(1);
            !member.learnt || member.failures < MAX_FAILURES
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        server_of(url).unwrap()
    }

    fn pool(named: &[&str]) -> Pool {
        let named: Vec<_> = named.iter().map(|url| server(url)).collect();
        Pool::new(&named, Candidate::named(&named[0]))
    }

    fn learn(pool: &mut Pool, urls: &[&str]) {
        let urls: Vec<_> = urls.iter().map(|url| (*url).to_owned()).collect();
        pool.learn(&urls, true, || 7);
    }

    fn round(pool: &mut Pool) -> Vec<String> {
        pool.begin();
        std::iter::from_fn(|| pool.next()).map(|candidate| candidate.server.to_string()).collect()
    }

    fn sorted(mut all: Vec<String>) -> Vec<String> {
        all.sort();
        all
    }

    #[test]
    fn the_others_come_first_and_the_lost_one_last() {
        let mut pool = pool(&["a:1", "b:2", "c:3"]);
        assert_eq!(round(&mut pool), ["b:2", "c:3", "a:1"]);
        let second = Candidate { server: server("b:2"), tls_name: "b".into() };
        pool.on_connected(second);
        assert_eq!(round(&mut pool), ["c:3", "a:1", "b:2"]);
        pool.begin_with_others();
        assert_eq!(std::iter::from_fn(|| pool.next()).count(), 2);
    }

    #[test]
    fn what_is_learnt_is_added_once_and_goes_with_the_cluster() {
        let mut pool = pool(&["a:1"]);
        assert!(!pool.has_others());
        learn(&mut pool, &["b:2", "a:1", "b:2", "c:3"]);
        assert!(pool.has_others());
        assert_eq!(sorted(round(&mut pool)), ["a:1", "b:2", "c:3"]);
        learn(&mut pool, &["b:2", "a:1", "c:3"]);
        assert_eq!(sorted(round(&mut pool)), ["a:1", "b:2", "c:3"]);
        learn(&mut pool, &[]);
        assert_eq!(round(&mut pool).len(), 3);
        learn(&mut pool, &["c:3"]);
        assert_eq!(round(&mut pool), ["c:3", "a:1"], "a named one stays");
        let learnt = Candidate { server: server("c:3"), tls_name: "c".into() };
        pool.on_connected(learnt);
        learn(&mut pool, &["d:4"]);
        assert_eq!(sorted(round(&mut pool)), ["a:1", "c:3", "d:4"], "the connected one stays");
    }

    #[test]
    fn what_is_no_address_is_left_out_and_so_is_what_is_too_much() {
        let mut pool = pool(&["a:1"]);
        learn(&mut pool, &["", ":1", "b:x", "b:99999", "b:0", "[::1", "b c:1", "nats://b:1", "u:p@b:1", "é\0:1"]);
        assert_eq!(round(&mut pool), ["a:1"]);
        let many: Vec<_> = (0..10_000).map(|number| format!("10.0.{}.{}:4222", number / 250, number % 250)).collect();
        pool.learn(&many, true, || 7);
        assert_eq!(round(&mut pool).len(), 1 + MAX_LEARNT);
        learn(&mut pool, &["[::1]:2"]);
        assert_eq!(round(&mut pool), ["[::1]:2", "a:1"]);
    }

    #[test]
    fn a_learnt_server_that_fails_again_and_again_is_forgotten() {
        let mut pool = pool(&["a:1"]);
        learn(&mut pool, &["b:2"]);
        for _ in 1..MAX_FAILURES {
            pool.begin_with_others();
            let failed = pool.next().unwrap();
            pool.on_failed(&failed);
        }
        let learnt = Candidate { server: server("b:2"), tls_name: "b".into() };
        pool.on_connected(learnt.clone());
        pool.on_failed(&learnt);
        assert_eq!(round(&mut pool), ["a:1", "b:2"], "it was there meanwhile");
        let named = Candidate { server: server("a:1"), tls_name: "a".into() };
        for _ in 1..MAX_FAILURES {
            pool.on_failed(&learnt);
            pool.on_failed(&named);
        }
        pool.on_failed(&named);
        assert_eq!(round(&mut pool), ["a:1"]);
    }

    #[test]
    fn a_learnt_address_has_to_be_who_told_of_it() {
        let names = |pool: &mut Pool, proven| {
            pool.learn(&["10.0.0.2:1".into(), "other.example:1".into()], proven, || 7);
            pool.begin_with_others();
            sorted(std::iter::from_fn(|| pool.next()).map(|candidate| candidate.tls_name).collect())
        };
        assert_eq!(names(&mut pool(&["nats.example:1"]), true), ["nats.example", "other.example"]);
        assert_eq!(names(&mut pool(&["10.0.0.1:1"]), true), ["10.0.0.2", "other.example"]);
        // Said before TLS: a name could be anybody's, with a certificate of its own.
        assert_eq!(names(&mut pool(&["nats.example:1"]), false), ["nats.example"]);
        let mut pool = pool(&["nats.example:1"]);
        learn(&mut pool, &["10.0.0.2:1"]);
        pool.begin_with_others();
        let learnt = pool.next().unwrap();
        pool.on_connected(learnt);
        learn(&mut pool, &["10.0.0.2:1", "10.0.0.3:1"]);
        assert!(pool.members.iter().all(|member| member.candidate.tls_name == "nats.example"));
    }
}
