"""What an operator's Prometheus and kubelet see of a run."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from .conftest import StartNode
from .node import Node, eventually

ORDERS = """
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps: [{convert: {from: xml}}]
out: {file: {path: orders.ndjson}}
"""


def base(node: Node) -> str:
    node.hears("ready")
    said = (one["text"] for one in node.said if one["kind"] == "note")
    return next(text for text in said if text.startswith("metrics and probes: ")).removeprefix("metrics and probes: ")


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def scrape(url: str) -> dict[str, float]:
    """Samples by name and labels, as they are written."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {
        f"{sample.name}{''.join(f' {name}={value}' for name, value in sorted(sample.labels.items()))}": sample.value
        for family in families
        for sample in family.samples
    }


def test_a_scrape_counts_what_has_happened_and_what_waits(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--metrics", "127.0.0.1:0", "--threads", "2")
    url = base(node)
    for number in range(5):
        node.accepts("/orders", f"<n>{number}</n>".encode(), "application/xml")
    node.accepts("/orders", b"<n>", "application/xml")
    found = eventually(lambda: now if (now := scrape(url))["vrsky_delivered_messages_total"] == 5 else None, "all")
    found = eventually(lambda: now if (now := scrape(url))["vrsky_dead_messages_total"] == 1 else None, "the letter")
    assert found["vrsky_received_messages_total"] == found["vrsky_customer_received_messages_total customer=acme"] == 6
    assert found["vrsky_dead_letters_total code=xml/not-well-formed"] == 1
    assert found["vrsky_delivery_seconds_count"] == 5
    held = "vrsky_stream_pending_messages stream=VRSKY_DEAD type="
    eventually(lambda: scrape(url).get(held) == 1, "the letter is in its stream")
    left = "vrsky_stream_left_messages_total stream=VRSKY_OUTGOING_T1000_0 type=outgoing"
    eventually(lambda: scrape(url).get(left) == 5, "the outputs have left their lane")
    assert status(f"{url}/livez") == status(f"{url}/readyz") == 200
    assert node.stop() == 0


def test_a_node_whose_server_is_away_lives_and_is_not_ready_until_it_is_back(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--metrics", "127.0.0.1:0")
    url = base(node)
    eventually(lambda: status(f"{url}/readyz") == 200, "it is ready")
    os.kill(node.server().pid, signal.SIGKILL)
    eventually(lambda: status(f"{url}/readyz") == 503, "it says that it is not ready")
    assert status(f"{url}/livez") == 200
    eventually(lambda: status(f"{url}/readyz") == 200, "the server is back")
    assert node.stop() == 0
