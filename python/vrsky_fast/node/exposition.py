"""The node's numbers in the text format of Prometheus.

Counters are the core's own, added up there: a scrape of a node with 10,000 customers is as long as one with 20.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..control.held import Held
from ..facts import COUNTER_SUMMARIES
from .leases import HeldLeases

# So many with the most messages, and so many with the most CPU time; more would be more than a Prometheus should get
# from each node.
CUSTOMERS = 20
# So many sources, by name.
NAMED_LEASES = 100

_BUSIEST = "Of the customers with the most messages or the most CPU time."
_END_TO_END = "From the intake of a message to its delivery, over all nodes that it passed. Not of outs to core NATS."
_QUEUE_WAIT = "From the timestamp of a message in its stream to when its steps began, each time that they do."
_STEP = "Time that a step takes. One message of 61 is measured, every run of a script."
# The name of a family without its unit's suffix; the core's count, how many of it are a second or one, what it says.
_USAGE = {
    "message_cpu_seconds": ("cpu_ns", 1e9, "CPU time of steps, scripts and writes to outs."),
    "wait_seconds": ("wait_ms", 1e3, "Seconds that messages have waited in their stream for their steps."),
    "waits": ("waits", 1, "Messages that have waited in their stream for their steps."),
}

_SEQUENCE = "Up to which sequence of its bucket this node serves what was written; a node that lags has a lower one."

_WITH_CANARY = "Of pipelines that have a canary, by the revision's role."
_ROLES = {
    "messages": f"Messages whose steps have begun. {_WITH_CANARY}",
    "failed": f"Messages that have failed in their steps, and outputs that an out has refused. {_WITH_CANARY}",
}

Numbers = Callable[[], Mapping[str, Any]]
"""See `Engine.metrics`."""
Lanes = Callable[[], Mapping[str, Held]]
Leases = Callable[[], HeldLeases]


class NodeCollector(Collector):
    def __init__(
        self,
        numbers: Numbers,
        lanes: Lanes,
        left_out: Callable[[], int],
        leases: Leases | None = None,
        follows: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._numbers, self._lanes, self._left_out, self._leases = numbers, lanes, left_out, leases
        self._follows = follows

    def collect(self) -> Iterable[Metric]:
        found = self._numbers()
        yield _labelled("vrsky_build_info", "This program.", "version", {version("vrsky-fast"): 1})
        for name, what in COUNTER_SUMMARIES.items():
            yield CounterMetricFamily(f"vrsky_{_unit(name)}", what, value=found["totals"][name])
        for name, what in COUNTER_SUMMARIES.items():
            family = CounterMetricFamily(f"vrsky_customer_{_unit(name)}", f"{what} {_BUSIEST}", labels=["customer"])
            for customer, counts in found["customers"].items():
                family.add_metric([customer], counts[name])
            yield family
        yield from _usage(found["totals"], found["customers"])
        yield _by_code("vrsky_dead_letters", "Dead letters by the code of their fault.", found["dead"])
        yield _by_code("vrsky_retries", "Attempts that are made again, by the code of their fault.", found["retried"])
        yield _latency("vrsky_end_to_end_seconds", _END_TO_END, {"": found["end_to_end"]})
        yield _latency("vrsky_queue_wait_seconds", _QUEUE_WAIT, found["waits"], "type")
        yield _latency("vrsky_step_seconds", _STEP, found["steps"], "step")
        yield from _of_shards(found["shards"])
        yield _labelled("vrsky_failing_connectors", "Ins and outs that fail, by code.", "code", found["failing"])
        yield GaugeMetricFamily("vrsky_canaries", "Pipelines of this node that have a canary.", value=found["canaries"])
        for count, what in _ROLES.items():
            family = CounterMetricFamily(f"vrsky_revision_{count}", what, labels=["role"])
            for role, counts in found["roles"].items():
                family.add_metric([role], counts[count])
            yield family
        if workers := found["script_workers"]:
            yield from _of_workers(workers)
        yield GaugeMetricFamily("vrsky_pipelines", "Pipelines that this node runs.", value=found["pipelines"])
        yield GaugeMetricFamily("vrsky_left_out_files", "Files that cannot be served.", value=self._left_out())
        if follows := self._follows():
            yield _labelled("vrsky_configuration_sequence", _SEQUENCE, "of", follows)
        yield from _of_lanes(self._lanes().values())
        if self._leases is not None:
            yield from _of_leases(self._leases())


def _unit(counter: str) -> str:
    """A counter's name with its unit, as Prometheus wants it."""
    return counter if counter.endswith("_bytes") else f"{counter}_messages"


def _labelled(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for one, value in values.items():
        family.add_metric([one], value)
    return family


def _of_workers(found: Mapping[str, Any]) -> Iterable[Metric]:
    """Processes for customers' scripts."""
    yield GaugeMetricFamily("vrsky_script_workers", "Processes for customers' scripts.", value=found["workers"])
    what = "Memory that they hold while they have nothing to do, and that those which run may use."
    yield GaugeMetricFamily("vrsky_script_workers_bytes", what, value=found["bytes"])
    what = "Memory that they may use together."
    yield GaugeMetricFamily("vrsky_script_workers_budget_bytes", what, value=found["budget"])
    yield CounterMetricFamily("vrsky_script_worker_starts", "Such processes that were started.", value=found["starts"])
    what = "Times that a customer's scripts have waited because others used all of this memory."
    yield CounterMetricFamily("vrsky_script_worker_waits", what, value=found["waits"])
    family = CounterMetricFamily(
        "vrsky_script_worker_ends", "Such processes that have ended, by why.", labels=["reason"]
    )
    for reason, count in found["ends"].items():
        family.add_metric([reason], count)
    yield family


def _usage(totals: Mapping[str, int], customers: Mapping[str, Mapping[str, int]]) -> Iterable[Metric]:
    """What messages have cost and met."""
    for name, (count, per_second, what) in _USAGE.items():
        yield CounterMetricFamily(f"vrsky_{name}", what, value=totals[count] / per_second)
        family = CounterMetricFamily(f"vrsky_customer_{name}", f"{what} {_BUSIEST}", labels=["customer"])
        for customer, counts in customers.items():
            family.add_metric([customer], counts[count] / per_second)
        yield family


def _by_code(name: str, what: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, what, labels=["code"])
    for code, count in counts.items():
        family.add_metric([code], count)
    return family


def _latency(name: str, what: str, found: Mapping[str, Mapping[str, Any]], label: str | None = None) -> Metric:
    """A histogram; of each value of `label`, where there is one."""
    family = HistogramMetricFamily(name, what, labels=[label] if label else [])
    for value, one in found.items():
        bounds = [f"{bound:g}" for bound in one["bounds"]] + ["+Inf"]
        buckets = list(zip(bounds, accumulate(one["counts"]), strict=True))
        family.add_metric([value] if label else [], buckets, one["sum"])
    return family


def _of_shards(shards: Sequence[Mapping[str, Any]]) -> Iterable[Metric]:
    gauges = {
        "connected": ("vrsky_nats_connected", "Whether the shard is connected to the NATS server."),
        "messages": ("vrsky_in_hand_messages", "Messages that the shard has in hand."),
        "bytes": ("vrsky_in_hand_bytes", "Bytes of the messages that the shard has in hand."),
        "connections": ("vrsky_http_connections", "Connections of HTTP clients that are open."),
        "writes": ("vrsky_out_calls_in_flight", "Calls of outs, one a batch, that wait for an answer."),
    }
    ticks = CounterMetricFamily("vrsky_shard_lived_seconds", "Stands still when the shard is stuck.", labels=["shard"])
    for number, shard in enumerate(shards):
        ticks.add_metric([str(number)], shard["ticks"])
    yield ticks
    for name, (metric, what) in gauges.items():
        yield _labelled(metric, what, "shard", {str(number): float(one[name]) for number, one in enumerate(shards)})


def _of_lanes(lanes: Iterable[Held]) -> Iterable[Metric]:
    labels, now = ["stream", "type"], time.time()
    pending = GaugeMetricFamily("vrsky_stream_pending_messages", "Messages that wait for a node.", labels=labels)
    in_hand = GaugeMetricFamily("vrsky_stream_in_hand_messages", "Messages that some node has in hand.", labels=labels)
    oldest = GaugeMetricFamily("vrsky_stream_oldest_seconds", "Age of the oldest message; 0 without.", labels=labels)
    left = CounterMetricFamily("vrsky_stream_left_messages", "Messages that have left the stream.", labels=labels)
    for one in lanes:
        names = [one.stream, one.node_type or ""]
        pending.add_metric(names, one.pending)
        in_hand.add_metric(names, one.in_hand)
        left.add_metric(names, one.left)
        oldest.add_metric(names, max(now - one.oldest, 0.0) if one.oldest is not None else 0.0)
    yield from (pending, in_hand, oldest, left)


def _of_leases(held: HeldLeases) -> Iterable[Metric]:
    yield GaugeMetricFamily("vrsky_leases", "Sources that this node reads by a lease.", value=len(held.since))
    changes = CounterMetricFamily("vrsky_lease_changes", "Leases taken, given back and lost.", labels=["change"])
    for change, count in held.changes.items():
        changes.add_metric([change], count)
    yield changes
    since = GaugeMetricFamily(
        "vrsky_lease_since_seconds",
        f"When this node took the lease, in seconds since 1970; of {NAMED_LEASES} at most.",
        labels=["customer", "pipeline"],
    )
    for key in sorted(held.since)[:NAMED_LEASES]:
        since.add_metric(key, held.since[key])
    yield since


class Exposition:
    """Everything that a scrape gets: the node's numbers and those of its process."""

    def __init__(self, node: NodeCollector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(node)
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type, as `Accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
