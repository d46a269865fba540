//! What a scrape is told: the node as a whole, and the customers with the most messages. Its size does not grow with
//! the number of customers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::stats::{conditions, count};
use crate::engine::observe::{BOUNDS_MS, Counters, Meters, Metric};
use crate::engine::registry::Prepared;

type Counts = [u64; Metric::ALL.len()];

/// Everything since the start of the process. Counters never go down.
#[derive(Debug, Default, Serialize)]
pub struct Metrics {
    /// Of all customers, also of pipelines that were removed.
    pub totals: BTreeMap<&'static str, u64>,
    /// Those with the most messages, in the order of their names.
    pub customers: BTreeMap<Box<str>, BTreeMap<&'static str, u64>>,
    pub pipelines: usize,
    /// How many ins and outs are failing, by the code of their fault.
    pub failing: BTreeMap<&'static str, usize>,
    pub shards: Vec<ShardMetrics>,
    pub delivery: Latency,
    /// Dead letters by code.
    pub dead: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
pub struct ShardMetrics {
    /// Seconds that it has lived through: one that does not move is stuck.
    pub ticks: u64,
    pub connected: bool,
    /// Messages and bytes that were asked for or are in hand.
    pub messages: u64,
    pub bytes: u64,
}

/// From the intake of a message to its delivery.
#[derive(Debug, Default, Serialize)]
pub struct Latency {
    /// Upper bounds of the buckets; a last one has no bound.
    pub bounds_ms: Vec<u64>,
    pub counts: Vec<u64>,
    pub sum_ms: u64,
}

/// What removed pipelines have counted, by customer.
#[derive(Debug, Default)]
pub struct Retired {
    sums: BTreeMap<Box<str>, Counts>,
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

fn add(sum: &mut Counts, counters: &[Arc<Counters>]) {
    for (sum, metric) in sum.iter_mut().zip(Metric::ALL) {
        *sum += count(counters, metric);
    }
}

fn named(counts: &Counts) -> BTreeMap<&'static str, u64> {
    Metric::ALL.iter().map(|metric| metric.as_str()).zip(counts.iter().copied()).collect()
}

impl Metrics {
    /// `most`: how many customers are named.
    pub fn of<'a>(
        installed: impl Iterator<Item = &'a Arc<Prepared>>,
        retired: &mut Retired,
        meters: &[Arc<Meters>],
        most: usize,
    ) -> Metrics {
        retired.settle();
        let mut metrics = Metrics::of_shards(meters);
        let mut customers: BTreeMap<&str, Counts> =
            retired.sums.iter().map(|(customer, counts)| (&**customer, *counts)).collect();
        for (customer, counters) in &retired.leaving {
            add(customers.entry(customer).or_default(), counters);
        }
        for prepared in installed {
            metrics.pipelines += 1;
            add(customers.entry(prepared.pipeline.customer()).or_default(), &prepared.counters);
            for code in conditions(prepared).flatten().filter_map(|condition| condition.code) {
                *metrics.failing.entry(code).or_default() += 1;
            }
        }
        let mut totals = Counts::default();
        customers.values().for_each(|counts| totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count));
        metrics.totals = named(&totals);
        metrics.customers = busiest(customers, most);
        metrics
    }

    /// Of no pipeline.
    pub fn of_shards(meters: &[Arc<Meters>]) -> Metrics {
        let mut metrics = Metrics::default();
        metrics.delivery.bounds_ms = BOUNDS_MS.into();
        metrics.delivery.counts = vec![0; BOUNDS_MS.len() + 1];
        for one in meters {
            let (messages, bytes) = one.in_hand();
            metrics.shards.push(ShardMetrics { ticks: one.ticks(), connected: one.is_connected(), messages, bytes });
            let (counts, sum_ms) = one.delivery.read();
            metrics.delivery.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            metrics.delivery.sum_ms += sum_ms;
            for (code, count) in one.dead_by_code() {
                *metrics.dead.entry(code.as_str()).or_default() += count;
            }
        }
        metrics
    }
}

fn busiest(customers: BTreeMap<&str, Counts>, most: usize) -> BTreeMap<Box<str>, BTreeMap<&'static str, u64>> {
    let messages = |counts: &Counts| counts[Metric::Received as usize] + counts[Metric::Emitted as usize];
    let mut customers: Vec<(&str, Counts)> = customers.into_iter().collect();
    customers.sort_by_key(|(_, counts)| std::cmp::Reverse(messages(counts)));
    customers.truncate(most);
    customers.into_iter().map(|(customer, counts)| (customer.into(), named(&counts))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn shards_are_added_up() {
        let meters = [Arc::new(Meters::default()), Arc::default()];
        meters[0].set_connected(true);
        meters[0].tick(7, 70);
        meters[0].delivery.add(3);
        meters[1].delivery.add(4);
        let metrics = Metrics::of(std::iter::empty(), &mut Retired::default(), &meters, 1);
        assert_eq!((metrics.delivery.counts[2], metrics.delivery.sum_ms), (2, 7));
        assert_eq!((metrics.shards[0].connected, metrics.shards[0].messages, metrics.shards[1].ticks), (true, 7, 0));
    }
}
