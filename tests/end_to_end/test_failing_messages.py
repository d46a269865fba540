"""A server that takes all messages but one, and a message's right to an attempt of its own."""

from __future__ import annotations

import json

import pytest

from .conftest import StartNode
from .load import under_load
from .node import Node, a_number, eventually
from .servers import Rule, Server, answer, fails, serving

ORDERS = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
out: {{http: {{url: '{url}/', {options}}}}}
"""


def orders(server: Server, options: str) -> dict[str, str]:
    return {"orders.yaml": ORDERS.format(url=server.url, options=options)}


def send(node: Node, count: int, **fields: object) -> dict[str, int]:
    """Posts so many messages; their numbers by their ids."""
    sent = {}
    for _ in range(count):
        number = a_number()
        sent[node.accepts("/orders", json.dumps({"n": number} | fields).encode())] = number
    return sent


def send_poison(node: Node) -> dict[str, int]:
    """A message that the server does not take; the node knows that before anything else comes."""
    sent = send(node, 1, kind="poison")
    node.hears("retried", id=next(iter(sent)))
    return sent


def taken(server: Server) -> list[int]:
    """The numbers of what the server has taken, in order."""
    return [json.loads(one.body)["n"] for one in list(server.taken)]


def attempts(server: Server, text: bytes) -> int:
    return sum(text in one.body for one in list(server.requests))


@pytest.mark.parametrize("before", [1, 5], ids=["at once", "when it has failed for longer"])
def test_a_message_that_is_always_answered_500_holds_up_no_other(start_node: StartNode, before: int) -> None:
    with serving(rule=fails(b"poison")) as server:
        node = start_node(orders(server, "retry_for: 1h"))
        send_poison(node)
        eventually(lambda: attempts(server, b"poison") >= before, f"{before} attempts of the poison")
        healthy = set(send(node, 20).values())
        eventually(lambda: set(taken(server)) == healthy, "all others are taken")


def test_many_messages_that_are_always_answered_500_hold_up_no_other(start_node: StartNode) -> None:
    with serving(rule=fails(b"poison")) as server:
        node = start_node(orders(server, "retry_for: 1h"))
        healthy: set[int] = set()
        for turn in range(400):
            sent = send(node, 1, **({"kind": "poison"} if turn % 10 in {0, 1, 3, 6, 7, 8} else {}))
            if turn % 10 in {2, 4, 5, 9}:
                healthy.update(sent.values())
        eventually(lambda: set(taken(server)) == healthy, "the healthy among them are taken")
        # A burst of nothing else, and then healthy ones alone.
        send(node, 100, kind="poison")
        for _ in range(20):
            healthy.update(send(node, 1).values())
            eventually(lambda: healthy.issubset(taken(server)), "each of the others is taken")


def test_a_message_that_fails_is_tried_beside_the_others_until_it_is_taken(start_node: StartNode) -> None:
    with serving(rule=fails(b"poison")) as server:
        node = start_node(orders(server, "retry_for: 1h"))
        (poison,) = send_poison(node).values()
        with under_load(node.url("/orders"), clients=1):
            eventually(lambda: len(taken(server)) > 0, "another is taken")
            before = attempts(server, b"poison")
            eventually(lambda: attempts(server, b"poison") > before, "one more attempt of the poison")
            server.rule = lambda _: None
            eventually(lambda: poison in taken(server), "the poison is taken in the end")


def test_with_a_concurrency_of_1_a_message_that_fails_keeps_its_place(start_node: StartNode) -> None:
    with serving(*[answer(500)] * 3) as server:
        node = start_node(orders(server, "concurrency: 1"))
        numbers = list(send(node, 20).values())
        eventually(lambda: len(taken(server)) >= len(numbers), "all are taken")
        assert taken(server) == numbers


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        pytest.param(fails(b"poison"), "retry_for: 2s", id="two messages fail"),
        pytest.param(fails(), "retry_for: 2s, concurrency: 1", id="the server fails"),
    ],
)
def test_nothing_becomes_a_dead_letter_without_an_attempt_of_its_own(
    start_node: StartNode, rule: Rule, options: str
) -> None:
    with serving(rule=rule) as server:
        node = start_node(orders(server, options))
        sent = send_poison(node) | send(node, 1, kind="poison") | send(node, 20)

        def dead() -> set[str]:
            return {one["id"] for one in list(node.said) if one["kind"] == "dead"}

        eventually(lambda: len(dead()) + len(server.taken) >= len(sent), "each is taken or a dead letter")
        tried = {json.loads(one.body)["n"] for one in server.requests}
        assert {sent[id] for id in dead()} <= tried
