"""What a client says in its headers: never a command to NATS, never another customer's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from ..conftest import post
from .node import Node, a_number
from .servers import Server, serving

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - filter: n > 0
out: {file: {path: orders.ndjson}}
"""

FORWARD = """\
customer: acme
pipeline: forward
in: {{http: {{path: /forward, content_types: [json]}}}}
out: {{http: {{url: '{url}'}}}}
"""

OTHER = """\
customer: zeta
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
out: {file: {path: zeta.ndjson}}
"""

EVIL = {
    "Nats_Rollup": "all",
    "Nats_Msg_Id": "the-same",
    "Nats_Expected_Stream": "ANOTHER",
    "Nats_Expected_Last_Sequence": "1",
    "Nats_TTL": "1",
    "Vrsky_Id": "mine",
    "Vrsky_Code": "xml/doctype",
    "Vrsky_Time": "0",
    "Vrsky_Part": "7",
    "Customer_ID": "zeta",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def node(start_shared_node: Callable[[dict[str, str]], Node], server: Server) -> Node:
    return start_shared_node(
        {"orders.yaml": ORDERS, "zeta.yaml": OTHER, "forward.yaml": FORWARD.format(url=server.url + "/")}
    )


def test_headers_that_are_ours_are_not_taken_from_a_client(node: Node, server: Server) -> None:
    sent = {a_number() for _ in range(10)}
    ids = {node.accepts("/orders", b'{"n": %d}' % number, **EVIL) for number in sent}
    assert len(ids) == len(sent), "a client chose the message's id"
    node.delivers_all("orders.ndjson", sent)
    assert node.lines("zeta.ndjson") == []

    failed = node.accepts("/orders", b'{"m": 1}', **EVIL)
    letter = node.dead_letter(failed)
    assert (letter["customer"], letter["code"]) == ("acme", "filter/missing-field")
    headers = letter["headers"]
    assert not [name for name in headers if name.lower().startswith("nats-") and name.lower() != "nats-msg-id"]
    assert headers["Nats-Msg-Id"] != "the-same"
    assert (headers["Vrsky-Id"], headers["Vrsky-Part"]) == (failed, "0")
    assert int(headers["Vrsky-Time"]) > 0

    number = a_number()
    node.accepts("/forward", b'{"n": %d}' % number, **EVIL, traceparent=TRACE, tracestate="a=1", ce_type="order")
    got = server.got(b"%d" % number).headers
    assert not [name for name in got if name.startswith(("nats-", "vrsky-", "customer-"))]
    assert (got["tracestate"], got["ce-type"]) == ("a=1", "order")
    assert got["traceparent"][:36] == TRACE[:36], "the trace goes on"
    assert got["traceparent"][36:52] != TRACE[36:52], "as a hop of its own"
    node.still_works("/orders", "orders.ndjson")


def test_the_same_idempotency_key_is_the_same_message(node: Node) -> None:
    number = a_number()
    body = b'{"n": %d}' % number
    ids = {node.accepts("/orders", body, Idempotency_Key=f"order {number}") for _ in range(5)}
    assert len(ids) == 1
    other = a_number()
    assert node.accepts("/orders", b'{"n": %d}' % other, Idempotency_Key=f"order {other}") not in ids
    node.delivers_all("orders.ndjson", {number, other})
    # Another customer's message with that key is another message.
    status, answer = post(f"{node.base}/in/zeta/orders", body, "application/json", Idempotency_Key=f"order {number}")
    assert (status, answer["id"] in ids) == (202, False)
    node.hears("delivered", customer="zeta")
    node.still_works("/orders", "orders.ndjson")
    assert [line["n"] for line in node.lines("orders.ndjson")].count(number) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "Z\xfcrich"], ids=["empty", "too long", "not ASCII"])
def test_an_idempotency_key_that_cannot_be_one_is_refused(node: Node, key: str) -> None:
    problem = node.refuses("/orders", b'{"n": 1}', Idempotency_Key=key)
    assert (problem["status"], problem["code"]) == (400, "http/bad-request")
    assert "idempotency-key" in problem["detail"].lower()
    node.still_works("/orders", "orders.ndjson")


def test_a_path_leads_to_its_own_customer_only(node: Node) -> None:
    for path in (
        "/in/acme/nothing",
        "/in/acme/../zeta/orders",
        "/in/acme%2Forders",
        "/in//orders",
        "/",
        "/in/acme/orders/",
    ):
        status, problem = post(node.base + path, json.dumps({"n": 1}).encode(), "application/json")
        assert (status, problem["code"]) == (404, "http/not-found"), path
    node.still_works("/orders", "orders.ndjson")
