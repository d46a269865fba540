"""A durable that its owner changes while a node reads by it."""

from __future__ import annotations

from vrsky_fast.control.server import Server

from ..conftest import Background
from .conftest import StartNode
from .node import eventually
from .streams import call, make, put
from .test_split_topology import url

ORDERS = """\
customer: acme
pipeline: orders
in: {nats: {subject: in.orders, mode: jetstream, stream: IN, durable: theirs}}
out: {file: {path: orders.ndjson}}
"""


def test_a_message_whose_payload_its_durable_keeps_back_waits_for_the_payload(
    start_node: StartNode, server: Server, background: Background
) -> None:
    def configure(**changes: bool) -> None:
        config = {"durable_name": "theirs", "ack_policy": "explicit", "ack_wait": 30_000_000_000, "max_deliver": -1}
        wanted = {"stream_name": "IN", "config": config | {"filter_subject": "in.orders"} | changes}
        background(call(server.endpoint, "CONSUMER.DURABLE.CREATE.IN.theirs", wanted))

    background(make(server.endpoint, "IN", "in.orders"))
    configure()
    node = start_node({"orders.yaml": ORDERS}, "--nats", url(server))
    background(put(server.endpoint, "in.orders", '{"n": 1}'))
    node.delivers_all("orders.ndjson", {1})
    configure(headers_only=True)
    background(put(server.endpoint, "in.orders", '{"n": 2}'))
    node.hears("retried", code="nats/headers-only")
    configure(headers_only=False)
    node.delivers_all("orders.ndjson", {1, 2})
    eventually(lambda: background(call(server.endpoint, "CONSUMER.INFO.IN.theirs"))["num_ack_pending"] == 0, "acks")
    assert node.stop() == 0
