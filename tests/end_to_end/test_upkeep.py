"""The streams of a node, which it looks at and makes again over connections that may be cut."""

from __future__ import annotations

from vrsky_fast.control.server import Server

from ..conftest import Background
from .conftest import BrokerOf, StartNode
from .node import eventually
from .proxy import in_between
from .streams import call

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
out: {file: {path: orders.ndjson}}
"""
DELETED = "VRSKY_KEYS"


def test_a_control_connection_that_is_cut_does_not_end_the_upkeep(
    start_node: StartNode, server: Server, background: Background, broker_of: BrokerOf
) -> None:
    operator = broker_of(server)
    with in_between(operator.port) as proxy:
        node = start_node({"orders.yaml": ORDERS}, "--nats", operator.url_on(proxy.port))
        node.hears("ready")
        proxy.cut_control(True)
        eventually(lambda: proxy.cuts >= 3, "looks at the streams are cut off")
        background(call(server.endpoint, f"STREAM.DELETE.{DELETED}"))
        proxy.cut_control(False)
        node.hears("note", text=f"missing or changed on the server, and made right: stream {DELETED}")
        node.still_works("/orders", "orders.ndjson")
        assert node.stop() == 0


def test_a_start_whose_control_connection_is_cut_is_tried_again(
    start_node: StartNode, server: Server, broker_of: BrokerOf
) -> None:
    operator = broker_of(server)
    with in_between(operator.port) as proxy:
        proxy.cut_control(True)
        node = start_node({"orders.yaml": ORDERS}, "--nats", operator.url_on(proxy.port))
        eventually(lambda: proxy.cuts >= 3, "attempts to make the streams are cut off")
        proxy.cut_control(False)
        node.hears("ready")
        node.still_works("/orders", "orders.ndjson")
        assert node.stop() == 0
