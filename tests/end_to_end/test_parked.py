"""An outgoing server that is down for longer: its messages are parked, survive a kill, and come back."""

from __future__ import annotations

import json
import os
import signal

from ..conftest import post
from .conftest import StartNode
from .node import Node, a_number, eventually
from .servers import Server, closed_port, serving

ORDERS = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
out: {{http: {{url: 'http://127.0.0.1:{port}/', concurrency: 1, retry_for: {retry_for}}}}}
"""
QUICK = """\
customer: acme
pipeline: quick
in: {http: {path: /quick, content_types: [json]}}
out: {file: {path: quick.ndjson}}
"""


def files(port: int, retry_for: str = "1h") -> dict[str, str]:
    return {"orders.yaml": ORDERS.format(port=port, retry_for=retry_for), "quick.yaml": QUICK}


def send(node: Node, count: int) -> list[int]:
    numbers = [a_number() for _ in range(count)]
    for number in numbers:
        node.accepts("/orders", json.dumps({"n": number}).encode())
    return numbers


def parking(start_node: StartNode, count: int) -> tuple[Node, int, list[int]]:
    """A run whose out is away, its port, and the numbers of `count` messages, of which it parks some."""
    port = closed_port()
    node = start_node(files(port))
    numbers = send(node, count)
    assert node.hears("parking", pipeline="orders")["step"] == "default"
    return node, port, numbers


def delivered(server: Server) -> set[int]:
    return {json.loads(one.body)["n"] for one in list(server.taken)}


def test_a_long_outage_delivers_once_and_in_order_and_delays_nobody_else(start_node: StartNode) -> None:
    node, port, numbers = parking(start_node, 100)
    node.still_works("/quick", "quick.ndjson")
    numbers += send(node, 100)
    with serving(port=port) as server:
        numbers += send(node, 20)
        eventually(lambda: len(server.taken) >= len(numbers), "all are delivered")
        node.hears("resumed", pipeline="orders")
        assert [json.loads(one.body)["n"] for one in server.taken] == numbers
    assert node.stop() == 0


def test_kill_9_while_parked_delivers_all_after_the_restart(start_node: StartNode) -> None:
    node, port, numbers = parking(start_node, 100)
    numbers += send(node, 50)
    node.kill()
    again = start_node(files(port))
    with serving(port=port) as server:
        eventually(lambda: delivered(server) == set(numbers), "all are delivered")
        again.still_works("/quick", "quick.ndjson")


def test_kill_9_while_parked_messages_come_back_delivers_all_after_the_restart(start_node: StartNode) -> None:
    node, port, numbers = parking(start_node, 200)
    numbers += send(node, 200)
    with serving(port=port) as server:
        eventually(lambda: len(server.taken) >= 20, "some are delivered")
        node.kill()
        again = start_node(files(port))
        eventually(lambda: delivered(server) == set(numbers), "all are delivered")
        again.still_works("/quick", "quick.ndjson")
        assert again.stop() == 0


def test_a_server_killed_while_messages_are_parked_loses_none(start_node: StartNode) -> None:
    node, port, numbers = parking(start_node, 100)
    os.kill(node.server().pid, signal.SIGKILL)
    probe = a_number()
    body = json.dumps({"n": probe}).encode()
    eventually(lambda: post(node.url("/orders"), body, "application/json")[0] == 202, "the server's restart")
    numbers += [probe, *send(node, 50)]
    with serving(port=port) as server:
        eventually(lambda: len(server.taken) >= 20, "some are delivered")
        os.kill(node.server().pid, signal.SIGKILL)
        eventually(lambda: delivered(server) == set(numbers), "all are delivered")
        node.hears("resumed", pipeline="orders")
    assert node.stop() == 0


def test_parked_messages_that_are_tried_for_too_long_are_dead_letters(start_node: StartNode) -> None:
    node = start_node(files(closed_port(), "5s"))
    send(node, 50)
    node.hears("parking", pipeline="orders")
    letters = eventually(lambda: found if len(found := node.dead_letters()) == 50 else [], "a dead letter for each")
    assert {one["code"] for one in letters} == {"deliver/retries-exhausted"}
