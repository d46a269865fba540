"""Customers that send too fast, or more than is worked off: 429, when to come again, and nothing lost."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from vrsky_fast.control.server import Server

from .conftest import StartNode
from .load import under_load
from .node import Node, a_number, eventually

PIPELINE = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
out: {file: {path: orders.ndjson}}
limits: {%s}
"""


class Client:
    """One connection; `accepted` holds the numbers that were answered with 202."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._path = parts.path
        self.accepted: set[int] = set()

    def post(self) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
        number = a_number()
        self._connection.request("POST", self._path, b'{"n": %d}' % number, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
        if answer.status == 202:
            self.accepted.add(number)
        return answer, told

    def post_until_refused(self, most: int) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
        for _ in range(most):
            answer, told = self.post()
            if answer.status != 202:
                return answer, told
        raise AssertionError(f"{most} messages were accepted, and none refused")

    def close(self) -> None:
        self._connection.close()


@contextmanager
def client_of(node: Node) -> Iterator[Client]:
    client = Client(node.url("/orders"))
    try:
        yield client
    finally:
        client.close()


def is_429(answer: http.client.HTTPResponse, told: dict[str, Any], code: str) -> int:
    """Checks the problem document; gives the seconds after which to come again."""
    assert (answer.status, told["status"], told["code"]) == (429, 429, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert told["instance"] == "/in/acme/orders"
    assert told["title"]
    assert told["detail"]
    return int(answer.headers["Retry-After"])


def test_who_is_faster_than_the_rate_gets_429_and_is_served_after_the_time_named(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": PIPELINE % "rate: 20/m"})
    with client_of(node) as client:
        begin = time.monotonic()
        again = is_429(*client.post_until_refused(5), "limit/rate")
        assert 1 <= again <= 3
        time.sleep(again)
        assert client.post()[0].status == 202
        is_429(*client.post_until_refused(5), "limit/rate")
        # One is free at first, and one more every 3 s.
        assert len(client.accepted) <= 2 + (time.monotonic() - begin) / 3
    node.delivers_once("orders.ndjson", client.accepted)


def test_the_rate_is_that_of_all_threads_together(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": PIPELINE % "rate: 50/s"}, "--threads", "3")
    begin = time.monotonic()
    with under_load(node.url("/orders"), clients=8) as load:
        load.wait_for(150)
        accepted = load.stop()
    # A second's worth is there at first.
    assert len(accepted) <= 50 + 50 * (time.monotonic() - begin) + 1
    assert set(load.refused) == {(429, "limit/rate")}
    node.delivers_once("orders.ndjson", accepted)


@pytest.mark.parametrize(
    ("backlog", "most"),
    [
        pytest.param(1_000, 1_000, id="what the stream counts"),
        # Looked at about once a second.
        pytest.param(50, 20_000, id="what the node looks at"),
    ],
)
def test_a_backlog_that_is_full_is_429_until_it_is_worked_off(
    start_node: StartNode, server: Server, backlog: int, most: int
) -> None:
    endpoint = server.endpoint
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    files = {"orders.yaml": PIPELINE % f"backlog: {backlog}"}
    # Nobody works off what comes in, at first.
    source = start_node(files, "--nats", url, "--type", "incoming")
    with client_of(source) as client:
        again = is_429(*client.post_until_refused(most + 1), "limit/backlog")
        assert 1 <= again <= 5
        assert backlog <= len(client.accepted) <= most
        rest = start_node(files, "--nats", url, "--type", "logic", "--type", "outgoing", data=source.folder / "rest")
        eventually(lambda: client.post()[0].status == 202, "a 202")
    assert source.stop() == 0
    rest.delivers_once("orders.ndjson", client.accepted)


def test_a_pipeline_above_a_ceiling_is_refused_alone_until_the_operator_allows_it(start_node: StartNode) -> None:
    greedy = (PIPELINE % "script: {cpu_ms: 500}").replace("orders", "greedy")
    files = {"greedy.yaml": greedy, "orders.yaml": PIPELINE % "script: {cpu_ms: 100}"}
    node = start_node(files)
    (problem,) = node.hears("not-served", goes_on=None)["problems"]
    assert (problem["code"], problem["line"]) == ("config/above-ceiling", 7)
    assert "`limits.script.cpu_ms` is 500" in problem["reason"]
    assert "--max-cpu-ms" in problem["reason"]
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0
    node = start_node(files, "--max-cpu-ms", "500")
    node.still_works("/greedy", "greedy.ndjson")
    assert node.stop() == 0
