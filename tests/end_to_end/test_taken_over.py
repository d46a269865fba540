"""A store that an earlier program has filled is taken over: nothing in it is stuck, lost, or read twice."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint

from ..conftest import Background
from .conftest import StartNode
from .node import Node, eventually
from .servers import Request, serving
from .servers import Server as HttpServer
from .stored import STORES, Store, pipelines

# What is left to do in stores/first.json: path and numbers.
LEFT = {
    **{f"/orders/{number}": [number] for number in (*range(100, 112), 200, 300)},
    "/audit": [200, 300],
    "/bulk": [200, 300],
    "/split": [200, 201, 300, 301],
    "/strict": [200, 300],
    "/events": [6, 7, 8],
}


class TakenOver:
    """Today's program on the store, when everything in it has been delivered."""

    def __init__(self, store: Store, node: Node, server: HttpServer, endpoint: Callable[[], Endpoint]) -> None:
        self.store, self.node, self.server, self.endpoint = store, node, server, endpoint

    def arrived(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for request in list(self.server.taken):
            found.setdefault(request.target, []).append(number_of(request))
        return {target: sorted(numbers) for target, numbers in found.items()}


@pytest.fixture
def taken_over(start_node: StartNode, tmp_path: Path, background: Background) -> Iterator[TakenOver]:
    store = Store.load(STORES / "first.json")
    data = tmp_path / ".vrsky"
    (data / "nats").mkdir(parents=True)
    with serving() as server:
        address = f"127.0.0.1:{server.port}"
        before = Server(data)
        try:
            background(store.restore(background(before.start()), address))
        finally:
            background(before.stop())
        node = start_node(pipelines(dict.fromkeys(("UP", "DOWN", "REFUSES"), address)))
        eventually(lambda: {request.target for request in list(server.taken)} >= set(LEFT), "something at each out")
        yield TakenOver(store, node, server, node.endpoint)


def number_of(request: Request) -> int:
    body = json.loads(request.body)
    return int(body["order"]["n"] if "order" in body else body["n"])


def test_everything_in_the_store_is_delivered_once(taken_over: TakenOver, background: Background) -> None:
    streams = eventually(lambda: emptied(background(states(taken_over.endpoint()))), "empty lanes, nothing parked")
    assert taken_over.node.stop() == 0
    assert taken_over.arrived() == LEFT
    # No consumer of the program before is left beside one of today's.
    assert Counter(streams[name]["consumer_count"] for name in streams if name != "VRSKY_PARKED") == {1: 5, 0: 2}


def emptied(streams: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    kept = {"EVENTS", "VRSKY_DEAD"}
    return {} if any(state["messages"] for name, state in streams.items() if name not in kept) else streams


async def states(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    async with connect(endpoint) as client:
        told = json.loads((await client.request("$JS.API.STREAM.LIST", b"", timeout=10)).data)
    return {one["config"]["name"]: one["state"] for one in told["streams"]}


def test_a_sink_sees_the_key_under_which_it_was_asked_before(taken_over: TakenOver) -> None:
    """The first parked message was tried by the program before, under its publish's id."""
    frames = taken_over.store.frames("VRSKY_PARKED") + taken_over.store.frames("VRSKY_OUTGOING")
    keys = Counter(dict(frame.headers)["Nats-Msg-Id"] for frame in frames)

    def all_there() -> bool:
        return keys <= Counter(request.headers["idempotency-key"] for request in list(taken_over.server.taken))

    eventually(all_there, "a request under each key")
    # What the earlier program has stored is no traceparent: each begins a trace of its own.
    traces = [one.headers["traceparent"] for one in taken_over.server.taken if one.target != "/events"]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", trace) for trace in traces), traces


def test_its_dead_letters_are_listed_with_all_that_they_say(taken_over: TakenOver) -> None:
    listed = taken_over.node.dead_letters()
    found = [(one["customer"], one["pipeline"], one["step"], one["code"]) for one in listed]
    assert sorted(found) == [
        ("acme", "eu-orders", "0:convert", "convert/not-a-number"),
        ("acme", "strict", "out:default", "http/rejected"),
        ("acme-eu", "orders", "1:filter", "filter/missing-field"),
    ]
    assert [one["id"] for one in listed] == [
        dict(frame.headers)["Vrsky-Id"] for frame in taken_over.store.frames("VRSKY_DEAD")
    ]


def test_its_dead_letters_are_sent_again(taken_over: TakenOver) -> None:
    node, server = taken_over.node, taken_over.server
    report = node.redrives("--all")
    assert (report["sent"], report["refused"]) == (3, [])
    assert server.got(b'{"n": 404}').target == "/strict"

    def again() -> list[tuple[str, str]]:
        found = [(one["pipeline"], one["code"]) for one in node.dead_letters() if one["sequence"] > 3]
        return sorted(found) if len(found) == 2 else []

    # No number, and no field, as before: the whole message at the start, the part at its step.
    assert eventually(again, "two of them die again") == [
        ("eu-orders", "convert/not-a-number"),
        ("orders", "filter/missing-field"),
    ]
