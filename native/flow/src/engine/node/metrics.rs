//! What a scrape is told: the node as a whole, and the customers with the most messages. Its size does not grow with
//! the number of customers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::stats::{conditions, count};
use crate::engine::observe::{Counters, Histogram, Meters, Metric, Role, RunCounts, Usage};
use crate::engine::registry::Prepared;

/// What counters add up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    counts: [u64; Metric::ALL.len()],
    usage: Usage,
}

/// Everything since the start of the process. Counters never go down.
#[derive(Debug, Default, Serialize)]
pub struct Metrics {
    /// Of all customers, also of pipelines that were removed.
    pub totals: BTreeMap<&'static str, u64>,
    /// Those with the most messages and those with the most CPU time, in the order of their names.
    pub customers: BTreeMap<Box<str>, BTreeMap<&'static str, u64>>,
    pub pipelines: usize,
    /// How many ins and outs are failing, by the code of their fault.
    pub failing: BTreeMap<&'static str, usize>,
    pub shards: Vec<ShardMetrics>,
    /// From the intake of a message to its delivery.
    pub end_to_end: Latency,
    /// From a message's timestamp in its stream to when its steps began, by the type of the node that took it.
    pub waits: BTreeMap<&'static str, Latency>,
    /// What steps have taken, by their names; a sample.
    pub steps: BTreeMap<&'static str, Latency>,
    /// Dead letters by code.
    pub dead: BTreeMap<&'static str, u64>,
    /// Attempts that are made again, by code.
    pub retried: BTreeMap<&'static str, u64>,
    /// Pipelines that have a canary.
    pub canaries: usize,
    /// What the two revisions of such pipelines have run, by role.
    pub roles: BTreeMap<&'static str, RunCounts>,
}

#[derive(Debug, Serialize)]
pub struct ShardMetrics {
    /// Seconds that it has lived through: one that does not move is stuck.
    pub ticks: u64,
    pub connected: bool,
    /// Messages and bytes that were asked for or are in hand.
    pub messages: u64,
    pub bytes: u64,
    /// Open ones of the HTTP server.
    pub connections: u64,
    /// Calls of outs that wait for an answer.
    pub writes: u64,
}

/// How many took how long.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    /// Upper bounds of the buckets, seconds; a last one has no bound.
    pub bounds: Vec<f64>,
    pub counts: Vec<u64>,
    /// Of all times, seconds.
    pub sum: f64,
}

impl Latency {
    fn add(&mut self, histogram: &Histogram) {
        let (counts, sum) = histogram.read();
        let seconds = |time: u64| time as f64 / histogram.scale().per_second as f64;
        if self.counts.is_empty() {
            self.bounds = histogram.scale().bounds.iter().map(|bound| seconds(*bound)).collect();
            self.counts = vec![0; counts.len()];
        }
        self.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.sum += seconds(sum);
    }
}

/// What removed pipelines have counted, by customer.
#[derive(Debug, Default)]
pub struct Retired {
    sums: BTreeMap<Box<str>, Sums>,
    /// Their last messages may still be counted.
    leaving: Vec<(Box<str>, Vec<Arc<Counters>>)>,
}

impl Retired {
    pub fn add(&mut self, customer: &str, counters: Vec<Arc<Counters>>) {
        // Perhaps nobody ever asks for metrics.
        self.settle();
        self.leaving.push((customer.into(), counters));
    }

    /// Nobody counts with them any more: their sum is enough.
    fn settle(&mut self) {
        let over = |counters: &Vec<Arc<Counters>>| counters.iter().all(|one| Arc::strong_count(one) == 1);
        for (customer, counters) in self.leaving.extract_if(.., |(_, counters)| over(counters)) {
            add(self.sums.entry(customer).or_default(), &counters);
        }
    }
}

fn add(sums: &mut Sums, counters: &[Arc<Counters>]) {
    for (sum, metric) in sums.counts.iter_mut().zip(Metric::ALL) {
        *sum += count(counters, metric);
    }
    counters.iter().for_each(|one| sums.usage.add(one.usage()));
}

impl Sums {
    fn add(&mut self, other: &Sums) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, count)| *sum += count);
        self.usage.add(other.usage);
    }

    fn named(&self) -> BTreeMap<&'static str, u64> {
        let Usage { cpu_ns, wait_ms, waits } = self.usage;
        let counts = Metric::ALL.iter().map(|metric| metric.as_str()).zip(self.counts);
        counts.chain([("cpu_ns", cpu_ns), ("wait_ms", wait_ms), ("waits", waits)]).collect()
    }

    fn messages(&self) -> u64 {
        self.counts[Metric::Received as usize] + self.counts[Metric::Emitted as usize]
    }
}

impl Metrics {
    /// `most`: how many customers with the most messages are named, and how many with the most CPU time.
    pub fn of<'a>(
        installed: impl Iterator<Item = &'a Arc<Prepared>>,
        retired: &mut Retired,
        meters: &[Arc<Meters>],
        most: usize,
    ) -> Metrics {
        retired.settle();
        let mut metrics = Metrics::of_shards(meters);
        let mut customers: BTreeMap<&str, Sums> =
            retired.sums.iter().map(|(customer, sums)| (&**customer, *sums)).collect();
        for (customer, counters) in &retired.leaving {
            add(customers.entry(customer).or_default(), counters);
        }
        for prepared in installed {
            metrics.pipelines += 1;
            metrics.canaries += usize::from(prepared.canary.is_some());
            add(customers.entry(prepared.pipeline.customer()).or_default(), &prepared.counters);
            for code in conditions(prepared).flatten().filter_map(|condition| condition.code) {
                *metrics.failing.entry(code).or_default() += 1;
            }
        }
        let mut totals = Sums::default();
        customers.values().for_each(|sums| totals.add(sums));
        metrics.totals = totals.named();
        metrics.customers = busiest(customers, most);
        metrics
    }

    /// Of no pipeline.
    pub fn of_shards(meters: &[Arc<Meters>]) -> Metrics {
        let mut metrics = Metrics::default();
        let runs = |role| RunCounts::sum(meters.iter().map(|one| &one.runs), role);
        metrics.roles = Role::ALL.into_iter().map(|role| (role.as_str(), runs(role))).collect();
        for one in meters {
            let (messages, bytes) = one.in_hand();
            let (connections, writes) = (one.connections(), one.writes_in_flight());
            let (ticks, connected) = (one.ticks(), one.is_connected());
            metrics.shards.push(ShardMetrics { ticks, connected, messages, bytes, connections, writes });
            metrics.end_to_end.add(&one.end_to_end);
            one.waits().for_each(|(place, waits)| metrics.waits.entry(place).or_default().add(waits));
            one.steps().for_each(|(name, step)| metrics.steps.entry(name).or_default().add(step));
            for (code, count) in one.dead_by_code() {
                *metrics.dead.entry(code.as_str()).or_default() += count;
            }
            for (code, count) in one.retried_by_code() {
                *metrics.retried.entry(code.as_str()).or_default() += count;
            }
        }
        metrics
    }
}

/// So many of each kind: a customer of few messages may use most of the CPU.
fn busiest(customers: BTreeMap<&str, Sums>, most: usize) -> BTreeMap<Box<str>, BTreeMap<&'static str, u64>> {
    let mut customers: Vec<(&str, Sums)> = customers.into_iter().collect();
    customers.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.messages()));
    let mut others = customers.split_off(most.min(customers.len()));
    others.extend_from_slice(&customers);
    others.retain(|(_, sums)| sums.usage.cpu_ns > 0);
    others.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.usage.cpu_ns));
    others.truncate(most);
    customers.into_iter().chain(others).map(|(customer, sums)| (customer.into(), sums.named())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::observe::Waited;
    use std::time::Duration;

    fn counted(metric: Metric, count: u64) -> Vec<Arc<Counters>> {
        let counters = Counters::default();
        counters.add(metric, count);
        vec![Arc::new(counters), Arc::default()]
    }

    fn read(retired: &mut Retired, most: usize) -> Metrics {
        Metrics::of(std::iter::empty(), retired, &[], most)
    }

    #[test]
    fn what_a_removed_pipeline_has_counted_stays_in_the_totals_to_its_last_message() {
        let mut retired = Retired::default();
        let counters = counted(Metric::Delivered, 3);
        retired.add("acme", counters.clone());
        assert_eq!(read(&mut retired, 9).totals["delivered"], 3);
        counters[1].add(Metric::Delivered, 2);
        drop(counters);
        for _ in 0..2 {
            assert_eq!(read(&mut retired, 9).totals["delivered"], 5);
            assert!(retired.leaving.is_empty());
        }
        retired.add("acme", counted(Metric::Delivered, 1));
        assert_eq!(read(&mut retired, 9).customers["acme"]["delivered"], 6);
    }

    #[test]
    fn pipelines_that_come_and_go_leave_nothing_that_grows() {
        let mut retired = Retired::default();
        (0..100).for_each(|_| retired.add("acme", counted(Metric::Received, 1)));
        assert!(retired.leaving.len() <= 1, "{}", retired.leaving.len());
        assert_eq!(read(&mut retired, 9).totals["received"], 100);
    }

    #[test]
    fn the_customers_with_the_most_messages_are_named_and_all_are_counted() {
        let mut retired = Retired::default();
        for (customer, count) in [("a", 1), ("b", 5), ("c", 3)] {
            retired.add(customer, counted(Metric::Received, count));
        }
        let metrics = read(&mut retired, 2);
        assert_eq!(metrics.customers.keys().map(|name| &**name).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(metrics.totals["received"], 9);
    }

    #[test]
    fn a_customer_of_few_messages_is_named_when_it_uses_the_most_cpu() {
        let mut retired = Retired::default();
        for (customer, messages, seconds) in [("a", 9, 1), ("b", 1, 50), ("c", 8, 2), ("d", 2, 3)] {
            let counters = counted(Metric::Received, messages);
            counters[0].used(Duration::from_secs(seconds));
            counters[1].waited(7);
            retired.add(customer, counters);
        }
        let metrics = read(&mut retired, 1);
        assert_eq!(metrics.customers.keys().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(metrics.customers["b"]["cpu_ns"], 50_000_000_000);
        assert_eq!(
            (metrics.totals["cpu_ns"], metrics.totals["wait_ms"], metrics.totals["waits"]),
            (56_000_000_000, 28, 4)
        );
    }

    #[test]
    fn shards_are_added_up() {
        let meters = [Arc::new(Meters::default()), Arc::default()];
        meters[0].set_connected(true);
        meters[0].tick(7, 70);
        meters[0].end_to_end.add(3);
        meters[1].end_to_end.add(4);
        meters[1].step("filter", Duration::from_nanos(300));
        meters[0].waited(Waited::Logic, 500);
        let metrics = Metrics::of(std::iter::empty(), &mut Retired::default(), &meters, 1);
        assert_eq!((metrics.end_to_end.counts[2], metrics.end_to_end.sum), (2, 0.007));
        assert_eq!((metrics.steps["filter"].counts[1], metrics.steps["filter"].bounds[1]), (1, 0.000_000_5));
        assert_eq!((metrics.waits["logic"].sum, metrics.waits["incoming"].sum), (0.5, 0.0));
        assert_eq!((metrics.shards[0].connected, metrics.shards[0].messages, metrics.shards[1].ticks), (true, 7, 0));
    }
}
