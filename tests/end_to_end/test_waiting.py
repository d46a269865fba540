"""Messages of a pipeline or an out that this node does not have: they wait, and are seen to wait."""

from __future__ import annotations

import json

from ..conftest import Background
from .conftest import StartNode
from .faults import known_fault, right_value
from .node import Node, a_number, eventually
from .streams import put, subjects

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


def waiting(node: Node, background: Background, pipeline: str, out: str) -> int:
    """How many messages of an out are in its lane or set aside."""
    streams = ("VRSKY_OUTGOING_T1000_0", "VRSKY_PARKED")
    held = [background(subjects(node.endpoint(), stream)) for stream in streams]
    return sum(count for one in held for name, count in one.items() if name.endswith(f".acme.{pipeline}.{out}"))


def test_a_message_for_an_out_that_is_not_known_waits(start_node: StartNode, background: Background) -> None:
    node = start_node({"orders.yaml": ORDERS})
    assert node.base
    number = put_on_lane(node, background, f"{LANE}.orders.erp")
    # The lane brings this one after it.
    node.still_works("/orders", "orders.ndjson")
    with right_value():
        assert not [one for one in list(node.said) if one.get("id") == str(number) and one["kind"] == "dead"]
        assert node.dead_letters() == []
        assert waiting(node, background, "orders", "erp") == 1


def test_it_is_delivered_by_a_newer_revision_that_has_the_out(start_node: StartNode, background: Background) -> None:
    node = start_node({"orders.yaml": ORDERS})
    assert node.base
    number = put_on_lane(node, background, f"{LANE}.orders.erp")
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    newer = ORDERS.replace("file: {path: orders.ndjson}", "erp: {file: {path: erp.ndjson}}")
    node = start_node({"orders.yaml": newer})
    assert node.base
    with right_value():
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


@known_fault("it comes back every 30 s, for ever, and nothing is said")
def test_what_waits_for_a_pipeline_that_is_gone_is_said_at_the_start(
    start_node: StartNode, background: Background
) -> None:
    node = restarted_over(start_node, background, "vrsky.logic.t1000.0.acme.gone.in")
    with right_value():
        assert names(list(node.said), "acme", "gone")


@known_fault("what is parked is looked at by its own out only")
def test_what_is_parked_for_an_out_that_is_gone_is_said_at_the_start(
    start_node: StartNode, background: Background
) -> None:
    node = restarted_over(start_node, background, "vrsky.parked.acme.orders.erp")
    with right_value():
        assert names(list(node.said), "acme", "orders", "erp")
    assert node.dead_letters() == []


@known_fault("stats know the pipelines of this node only")
def test_stats_count_what_waits_for_what_is_gone(start_node: StartNode, background: Background) -> None:
    parked = ("vrsky.parked.acme.orders.erp", "vrsky.parked.acme.gone.default")
    node = restarted_over(start_node, background, *parked)
    # The counters of that message are in the last ones that are said.
    assert node.stop() == 0
    node.hears("stopped")
    stats = [one for one in node.said if one["kind"] == "stats"]
    assert stats
    with right_value():
        assert names(stats, "erp")
        assert names(stats, "gone")
