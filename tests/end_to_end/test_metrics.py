"""What an operator's Prometheus and kubelet see of a run."""

from __future__ import annotations

import os
import signal
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

from prometheus_client.parser import text_string_to_metric_families

from ..conftest import post
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
    assert found["vrsky_end_to_end_seconds_count"] == 5
    assert found["vrsky_queue_wait_seconds_count type=logic"] == found["vrsky_customer_waits_total customer=acme"] == 6
    assert 0 < found["vrsky_customer_message_cpu_seconds_total customer=acme"] < 60
    held = "vrsky_stream_pending_messages stream=VRSKY_DEAD type="
    eventually(lambda: scrape(url).get(held) == 1, "the letter is in its stream")
    left = "vrsky_stream_left_messages_total stream=VRSKY_OUTGOING_T1000_0 type=outgoing"
    eventually(lambda: scrape(url).get(left) == 5, "the outputs have left their lane")
    assert status(f"{url}/livez") == status(f"{url}/readyz") == 200
    assert node.stop() == 0


STEPS = """
customer: acme
pipeline: steps
in: {http: {path: /steps}}
steps:
  - filter: 'n > 0'
  - set: {m: 'n + 1'}
  - rename: {m: k}
  - remove: k
  - convert: {from: json, to: csv}
  - route: [{when: 'n > 0', to: kept}]
out: {kept: {file: {path: steps.csv}}}
"""
SCRIPT = """
customer: beta
pipeline: busy
in: {http: {path: /busy}}
steps:
  - script: {code: "export default msg => { let x = 0; for (let i = 0; i < 20000; i++) x += i; return {...msg, x} }"}
limits: {script: {cpu_ms: 100}}
out: {file: {path: busy.ndjson}}
"""


def test_every_kind_of_step_is_measured_and_a_customer_pays_for_its_scripts(start_node: StartNode) -> None:
    node = start_node({"steps.yaml": STEPS, "busy.yaml": SCRIPT}, "--metrics", "127.0.0.1:0")
    url = base(node)
    # One message of 61 is measured.
    for number in range(1, 130):
        node.accepts("/steps", b'{"n": %d}' % number)
    for number in range(30):
        assert post(f"{node.base}/in/beta/busy", b'{"n": %d}' % number, "application/json")[0] == 202
    eventually(lambda: scrape(url)["vrsky_delivered_messages_total"] == 159, "all")
    found = scrape(url)
    for step in ("parse", "filter", "set", "rename", "remove", "route", "convert", "emit"):
        assert found[f"vrsky_step_seconds_count step={step}"] >= 2, step
    assert found["vrsky_step_seconds_count step=script"] == 30
    used = {one: found[f"vrsky_customer_message_cpu_seconds_total customer={one}"] for one in ("acme", "beta")}
    assert used["beta"] >= found["vrsky_step_seconds_sum step=script"] > 0
    assert found["vrsky_message_cpu_seconds_total"] < found["process_cpu_seconds_total"]
    assert node.stop() == 0


def test_scrapers_that_never_read_hold_up_no_message(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--metrics", "127.0.0.1:0")
    url = base(node)
    port = int(url.rpartition(":")[2])
    with ExitStack() as held:
        for number in range(1000):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            with suppress(ConnectionError):
                # The oldest are cut.
                one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            if number % 100 == 0:
                node.accepts("/orders", b"<n>1</n>", "application/xml")
        assert status(f"{url}/livez") == 200
        eventually(lambda: scrape(url)["vrsky_delivered_messages_total"] == 10, "all")
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
