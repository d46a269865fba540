"""A wall clock that jumps: how long a message is tried is measured, never a difference of two times of day."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from .clock import Clock
from .conftest import StartNode
from .node import Node, a_number, eventually
from .servers import Server, answer, closed_port, fails, serving, taken_numbers

ORDERS = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
out: {{http: {{url: 'http://127.0.0.1:{port}/', retry_for: {retry_for}}}}}
"""


def orders(port: int, retry_for: str = "1h") -> dict[str, str]:
    return {"orders.yaml": ORDERS.format(port=port, retry_for=retry_for)}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def send(node: Node, count: int) -> set[int]:
    numbers = {a_number() for _ in range(count)}
    for number in numbers:
        node.accepts("/orders", json.dumps({"n": number}).encode())
    return numbers


def dead(node: Node) -> list[str]:
    """The messages that have become dead letters."""
    return [one["id"] for one in list(node.said) if one["kind"] == "dead"]


def all_are_taken(node: Node, server: Server, numbers: set[int]) -> None:
    eventually(lambda: dead(node) or numbers <= set(taken_numbers(server)), "all are taken")
    assert not dead(node)


def test_a_clock_that_jumps_two_hours_makes_no_dead_letter_of_what_is_in_hand(
    start_node: StartNode, clock: Clock
) -> None:
    def jump(connection: socket.socket, server: Server) -> None:
        clock.jump(2)
        answer(500)(connection, server)

    with serving(jump) as server:
        node = start_node(orders(server.port), environment=clock.environment)
        all_are_taken(node, server, send(node, 1))


def test_a_clock_that_jumps_two_hours_makes_no_dead_letters_of_what_is_parked(
    start_node: StartNode, clock: Clock
) -> None:
    port = closed_port()
    node = start_node(orders(port), environment=clock.environment)
    numbers = send(node, 50)
    node.hears("parking")
    clock.jump(2)
    with serving(answer(500), port=port) as server:
        all_are_taken(node, server, numbers)


def test_a_node_whose_clock_is_two_hours_ahead_makes_no_dead_letters_of_what_another_has_parked(
    start_node: StartNode, clock: Clock
) -> None:
    port = closed_port()
    node = start_node(orders(port), environment=clock.environment)
    numbers = send(node, 50)
    node.hears("parking")
    assert node.stop() == 0
    clock.jump(2)
    with serving(answer(500), port=port) as server:
        again = start_node(orders(port), environment=clock.environment)
        all_are_taken(again, server, numbers)


def test_a_clock_that_is_set_back_does_not_prolong_the_attempts(start_node: StartNode, clock: Clock) -> None:
    def jump(connection: socket.socket, server: Server) -> None:
        clock.jump(-2)
        answer(500)(connection, server)

    with serving(jump, rule=fails()) as server:
        node = start_node(orders(server.port, "1s"), environment=clock.environment)
        send(node, 1)
        eventually(lambda: dead(node), "a dead letter")
