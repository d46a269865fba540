"""What Prometheus gets."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from vrsky_fast.control.held import Held
from vrsky_fast.facts import COUNTERS
from vrsky_fast.node.exposition import NAMED_LEASES, Exposition, NodeCollector
from vrsky_fast.node.leases import HeldLeases

USAGE = {"cpu_ns": 2_500_000_000, "wait_ms": 1_500, "waits": 3}
NUMBERS: dict[str, Any] = {
    "totals": {name: 10 * number for number, name in enumerate(COUNTERS)} | USAGE,
    "customers": {'a"c\\me\n': {name: number for number, name in enumerate(COUNTERS)} | USAGE},
    "pipelines": 3,
    "failing": {"http/connect": 2},
    "shards": [
        {"ticks": 7, "connected": True, "messages": 5, "bytes": 50, "connections": 4, "writes": 2},
        {"ticks": 8, "connected": False, "messages": 0, "bytes": 0, "connections": 0, "writes": 0},
    ],
    "end_to_end": {"bounds": [0.001, 2.5], "counts": [4, 2, 1], "sum": 6.5},
    "waits": {"logic": {"bounds": [0.001, 2.5], "counts": [1, 2, 0], "sum": 0.75}},
    "steps": {"filter": {"bounds": [2.5e-7, 1e-6], "counts": [1, 0, 3], "sum": 2.0}},
    "dead": {"xml/not-well-formed": 9},
    "retried": {"http/status": 11},
    "canaries": 2,
    "script_workers": {"workers": 6, "bytes": 5, "budget": 9, "starts": 8, "waits": 1, "ends": {"idle": 3, "late": 2}},
    "roles": {"active": {"messages": 95, "failed": 1}, "canary": {"messages": 5, "failed": 3}},
}


def scraped(accept: str = "", held: tuple[Held, ...] = ()) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    exposition = Exposition(NodeCollector(lambda: NUMBERS, lambda: {one.stream: one for one in held}, lambda: 4))
    text, _ = exposition.text(accept)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: dict[tuple[str, frozenset[tuple[str, str]]], float], name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_every_counter_of_the_core_is_there_as_a_total_and_by_customer() -> None:
    found = scraped()
    for number, counter in enumerate(COUNTERS):
        unit = "" if counter.endswith("_bytes") else "_messages"
        assert value(found, f"vrsky_{counter}{unit}_total") == 10 * number
        assert value(found, f"vrsky_customer_{counter}{unit}_total", customer='a"c\\me\n') == number


def test_what_both_revisions_of_pipelines_with_a_canary_run_is_there_by_role() -> None:
    found = scraped()
    counts = [value(found, f"vrsky_revision_{of}_total", role="canary") for of in ("messages", "failed")]
    assert (counts, value(found, "vrsky_revision_messages_total", role="active")) == ([5, 3], 95)
    assert value(found, "vrsky_canaries") == 2


def test_times_are_a_histogram_in_seconds() -> None:
    found = scraped()
    buckets = {bound: value(found, "vrsky_end_to_end_seconds_bucket", le=bound) for bound in ("0.001", "2.5", "+Inf")}
    assert buckets == {"0.001": 4, "2.5": 6, "+Inf": 7}
    assert value(found, "vrsky_end_to_end_seconds_count") == 7
    assert value(found, "vrsky_end_to_end_seconds_sum") == 6.5
    assert value(found, "vrsky_queue_wait_seconds_sum", type="logic") == 0.75
    assert value(found, "vrsky_step_seconds_bucket", step="filter", le="2.5e-07") == 1
    assert value(found, "vrsky_step_seconds_count", step="filter") == 4


def test_a_customers_cpu_time_and_waits_are_there_beside_those_of_all() -> None:
    found = scraped()
    assert value(found, "vrsky_message_cpu_seconds_total") == 2.5
    customer = {"customer": 'a"c\\me\n'}
    assert value(found, "vrsky_customer_message_cpu_seconds_total", **customer) == 2.5
    waits = [value(found, f"vrsky_customer_{name}_total", **customer) for name in ("wait_seconds", "waits")]
    assert waits == [1.5, 3]


def test_shards_faults_and_files_are_there() -> None:
    found = scraped()
    assert value(found, "vrsky_shard_lived_seconds_total", shard="1") == 8
    assert [value(found, "vrsky_nats_connected", shard=shard) for shard in "01"] == [1, 0]
    assert value(found, "vrsky_failing_connectors", code="http/connect") == 2
    assert value(found, "vrsky_dead_letters_total", code="xml/not-well-formed") == 9
    assert value(found, "vrsky_retries_total", code="http/status") == 11
    assert value(found, "vrsky_http_connections", shard="0") == 4
    assert value(found, "vrsky_out_calls_in_flight", shard="0") == 2
    assert value(found, "vrsky_left_out_files") == 4
    assert value(found, "process_cpu_seconds_total") > 0


def test_streams_have_what_an_autoscaler_asks_for() -> None:
    lane = Held("VRSKY_LOGIC_T1000_0", "logic", pending=70, in_hand=30, left=400, oldest=time.time() - 60)
    empty = Held("VRSKY_PARKED", None, pending=0, in_hand=0, left=0, oldest=None)
    found = scraped(held=(lane, empty))
    labels = {"stream": "VRSKY_LOGIC_T1000_0", "type": "logic"}
    assert value(found, "vrsky_stream_pending_messages", **labels) == 70
    assert value(found, "vrsky_stream_in_hand_messages", **labels) == 30
    assert value(found, "vrsky_stream_left_messages_total", **labels) == 400
    assert value(found, "vrsky_stream_oldest_seconds", **labels) >= 60
    assert value(found, "vrsky_stream_oldest_seconds", stream="VRSKY_PARKED", type="") == 0


def test_a_scraper_that_speaks_openmetrics_gets_it() -> None:
    exposition = Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0))
    text, content_type = exposition.text("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_how_far_the_configuration_is_followed_is_shown_by_what_it_comes_from() -> None:
    text, _ = Exposition(
        NodeCollector(lambda: NUMBERS, dict, lambda: 0, None, lambda: {"pipelines": 12, "settings": 3})
    ).text("")
    (family,) = (one for one in text_string_to_metric_families(text.decode()) if "configuration" in one.name)
    assert {one.labels["of"]: one.value for one in family.samples} == {"pipelines": 12, "settings": 3}


def test_leases_are_counted_and_the_first_are_named() -> None:
    since = {("acme", f"rows-{number:04}"): 1_700_000_000.0 + number for number in range(NAMED_LEASES + 10)}
    held = HeldLeases(since, {"taken": 120, "given": 7, "lost": 3})
    text, _ = Exposition(NodeCollector(lambda: NUMBERS, dict, lambda: 0, lambda: held)).text("")
    families = {one.name: one.samples for one in text_string_to_metric_families(text.decode())}
    assert [one.value for one in families["vrsky_leases"]] == [NAMED_LEASES + 10]
    changes = {one.labels["change"]: one.value for one in families["vrsky_lease_changes"]}
    assert changes == {"taken": 120, "given": 7, "lost": 3}
    named = families["vrsky_lease_since_seconds"]
    assert len(named) == NAMED_LEASES
    assert named[1].labels == {"customer": "acme", "pipeline": "rows-0001"}
    assert named[1].value == 1_700_000_001
    assert not any("vrsky_lease" in name for name, _ in scraped()), "a node without a bucket has none"


def test_processes_for_scripts_are_there_where_scripts_run_in_such() -> None:
    found = scraped()
    names = ("workers", "workers_bytes", "workers_budget_bytes", "worker_starts_total", "worker_waits_total")
    assert [value(found, f"vrsky_script_{name}") for name in names] == [6, 5, 9, 8, 1]
    assert [value(found, "vrsky_script_worker_ends_total", reason=reason) for reason in ("idle", "late")] == [3, 2]
    without = NodeCollector(lambda: NUMBERS | {"script_workers": None}, dict, lambda: 0).collect()
    assert not [family.name for family in without if family.name.startswith("vrsky_script_")]
