"""Messages of a pipeline or an out that this node does not have: they wait, and are seen to wait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..conftest import Background
from .conftest import StartNode
from .node import Node, a_number, eventually
from .servers import closed_port
from .streams import put, waiting

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
out: {file: {path: orders.ndjson}}
"""

LANE = "vrsky.outgoing.t1000.0.acme"


def put_on_lane(node: Node, background: Background, subject: str) -> int:
    """A message as another node would make it; its number."""
    number = a_number()
    ids = {"Nats_Msg_Id": f"{number}", "Vrsky_Id": f"{number}"}
    headers = {"Customer_ID": "acme", "Content_Type": "application/json", **ids}
    background(put(node.endpoint(), subject, json.dumps({"n": number}), **headers))
    return number


def test_a_message_for_an_out_that_is_not_known_waits(start_node: StartNode, background: Background) -> None:
    node = start_node({"orders.yaml": ORDERS})
    assert node.base
    number = put_on_lane(node, background, f"{LANE}.orders.erp")
    # The lane brings this one after it.
    node.still_works("/orders", "orders.ndjson")
    assert not [one for one in list(node.said) if one.get("id") == str(number) and one["kind"] == "dead"]
    assert node.dead_letters() == []
    assert background(waiting(node.endpoint(), "*.acme.orders.erp")) == 1


def test_it_is_delivered_by_a_newer_revision_that_has_the_out(start_node: StartNode, background: Background) -> None:
    node = start_node({"orders.yaml": ORDERS})
    assert node.base
    number = put_on_lane(node, background, f"{LANE}.orders.erp")
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    newer = ORDERS.replace("file: {path: orders.ndjson}", "erp: {file: {path: erp.ndjson}}")
    node = start_node({"orders.yaml": newer})
    assert node.base
    assert node.dead_letters() == []
    eventually(lambda: number in node.numbers("erp.ndjson"), "the message in the newer out's file")


def restarted_over(start_node: StartNode, background: Background, *waits: str) -> Node:
    """A node that was started anew over a message in each of these places, and delivers."""
    node = start_node({"orders.yaml": ORDERS})
    assert node.base
    for subject in waits:
        put_on_lane(node, background, subject)
    assert node.stop() == 0
    node = start_node({"orders.yaml": ORDERS})
    # The lanes bring this one after the others.
    node.still_works("/orders", "orders.ndjson")
    return node


def names(said: list[dict[str, object]], *words: str) -> bool:
    """Whether something that was said names all of these."""
    return any(all(word in json.dumps(one) for word in words) for one in said)


def test_what_waits_for_a_pipeline_that_is_gone_is_said_at_the_start(
    start_node: StartNode, background: Background
) -> None:
    node = restarted_over(start_node, background, "vrsky.logic.t1000.0.acme.gone.in")
    assert names(list(node.said), "acme", "gone")


def test_what_is_parked_for_an_out_that_is_gone_is_said_at_the_start(
    start_node: StartNode, background: Background
) -> None:
    node = restarted_over(start_node, background, "vrsky.parked.acme.orders.erp")
    assert names(list(node.said), "acme", "orders", "erp")
    assert node.dead_letters() == []


def test_stats_count_what_waits_for_what_is_gone(start_node: StartNode, background: Background) -> None:
    parked = ("vrsky.parked.acme.orders.erp", "vrsky.parked.acme.gone.default")
    node = restarted_over(start_node, background, *parked)
    # The counters of that message are in the last ones that are said.
    assert node.stop() == 0
    assert node.hears("stopped")["waiting"] == 2
    stats = [one for one in node.said if one["kind"] == "stats"]
    assert stats
    assert names(stats, "erp")
    assert names(stats, "gone")


AWAY = """\
customer: acme
pipeline: away
in: {{http: {{path: /away, content_types: [json]}}}}
out: {{erp: {{http: {{url: 'http://127.0.0.1:{port}/'}}}}}}
"""


def test_what_waits_for_a_pipeline_is_said_when_it_is_removed_until_it_is_back(
    start_node: StartNode, tmp_path: Path
) -> None:
    away = AWAY.format(port=closed_port())
    node = start_node({"orders.yaml": ORDERS, "away.yaml": away})
    for number in range(3):
        node.accepts("/away", b'{"n": %d}' % number)
    file = tmp_path / "pipelines" / "away.yaml"
    file.unlink()
    node.hears("removed", pipeline="away")
    said = node.hears("waiting", customer="acme", pipeline="away", out="erp")
    assert 1 <= said["messages"] <= 3
    eventually(lambda: [one["out"] for one in last_stats(node)["waiting"]] == ["erp"], "stats that count them")
    file.write_text(away)
    eventually(lambda: last_stats(node)["waiting"] == [], "stats without them")
    assert node.stop() == 0
    assert len([one for one in node.said if one["kind"] == "waiting"]) == 1


def last_stats(node: Node) -> dict[str, Any]:
    return next(one for one in reversed(list(node.said)) if one["kind"] == "stats")
