"""The node's numbers in the text format of Prometheus.

Counters are the core's own, added up there: a scrape of a node with 10,000 customers is as long as one with 20.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ..control.held import Held
from ..facts import COUNTER_SUMMARIES

# Those with the most messages; more would be more than a Prometheus should get from each node.
CUSTOMERS = 20

Numbers = Callable[[], Mapping[str, Any]]
"""See `Engine.metrics`."""
Lanes = Callable[[], Mapping[str, Held]]


class NodeCollector(Collector):
    def __init__(self, numbers: Numbers, lanes: Lanes, left_out: Callable[[], int]) -> None:
        self._numbers, self._lanes, self._left_out = numbers, lanes, left_out

    def collect(self) -> Iterable[Metric]:
        found = self._numbers()
        yield _labelled("vrsky_info", "This program.", "version", {version("vrsky-fast"): 1})
        for name, what in COUNTER_SUMMARIES.items():
            yield CounterMetricFamily(f"vrsky_{_unit(name)}", what, value=found["totals"][name])
        for name, what in COUNTER_SUMMARIES.items():
            family = CounterMetricFamily(
                f"vrsky_customer_{_unit(name)}", f"{what} Of the customers with the most messages.", labels=["customer"]
            )
            for customer, counts in found["customers"].items():
                family.add_metric([customer], counts[name])
            yield family
        dead = CounterMetricFamily("vrsky_dead_letters", "Dead letters by the code of their fault.", labels=["code"])
        for code, count in found["dead"].items():
            dead.add_metric([code], count)
        yield dead
        yield _latency(found["delivery"])
        yield from _of_shards(found["shards"])
        yield _labelled("vrsky_failing_connectors", "Ins and outs that fail, by code.", "code", found["failing"])
        yield GaugeMetricFamily("vrsky_pipelines", "Pipelines that this node runs.", value=found["pipelines"])
        yield GaugeMetricFamily("vrsky_left_out_files", "Files that cannot be served.", value=self._left_out())
        yield from _of_lanes(self._lanes().values())


def _unit(counter: str) -> str:
    """A counter's name with its unit, as Prometheus wants it."""
    return counter if counter.endswith("_bytes") else f"{counter}_messages"


def _labelled(name: str, what: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for one, value in values.items():
        family.add_metric([one], value)
    return family


def _latency(found: Mapping[str, Any]) -> Metric:
    bounds = [f"{bound / 1000:g}" for bound in found["bounds_ms"]] + ["+Inf"]
    buckets, count = [], 0
    for bound, more in zip(bounds, found["counts"], strict=True):
        count += more
        buckets.append((bound, count))
    what = "From the intake of a message to its delivery, over all nodes that it passed. Not of outs to core NATS."
    family = HistogramMetricFamily("vrsky_delivery_seconds", what)
    family.add_metric([], buckets, found["sum_ms"] / 1000)
    return family


def _of_shards(shards: Sequence[Mapping[str, Any]]) -> Iterable[Metric]:
    gauges = {
        "connected": ("vrsky_nats_connected", "Whether the shard is connected to the NATS server."),
        "messages": ("vrsky_in_hand_messages", "Messages that the shard has in hand."),
        "bytes": ("vrsky_in_hand_bytes", "Bytes of the messages that the shard has in hand."),
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


class Exposition:
    """Everything that a scrape gets: the node's numbers and those of its process."""

    def __init__(self, numbers: Numbers, lanes: Lanes, left_out: Callable[[], int]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(numbers, lanes, left_out))
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The text, and its content type, as `Accept` asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
