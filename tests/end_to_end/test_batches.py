"""Outgoing requests that carry several messages, and tokens that they need."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from .conftest import StartNode
from .load import under_load
from .node import Node, a_number, eventually
from .servers import Behaviour, Request, Server, answer, serving

PIPELINE = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json, xml]}}}}
out:
  http:
    url: {url}/bulk
    batch: {{messages: 50, wait: 200ms, format: {format}}}
{more}
"""


def pipeline(server: Server, format: str = "array", more: str = "") -> dict[str, str]:
    return {"orders.yaml": PIPELINE.format(url=server.url, format=format, more=more)}


def messages(request: Request) -> list[Any]:
    if request.headers["content-type"] == "application/x-ndjson":
        return [json.loads(line) for line in request.body.splitlines()]
    whole: list[Any] = json.loads(request.body)
    return whole


def numbers(server: Server) -> Counter[int]:
    """How often a server has taken each message."""
    return Counter(one["n"] for request in list(server.taken) for one in messages(request))


def send(node: Node, count: int, **fields: object) -> dict[int, str]:
    """Number and id of each message."""
    made = [a_number() for _ in range(count)]
    return {number: node.accepts("/orders", json.dumps({"n": number} | fields).encode()) for number in made}


def test_kill_9_while_messages_gather_and_travel_loses_none_of_them(start_node: StartNode) -> None:
    moments = random.Random(20_240_229)
    accepted: set[int] = set()
    with serving() as server:
        for _ in range(4):
            node = start_node(pipeline(server, "ndjson"))
            with under_load(node.url("/orders")) as load:
                load.wait_for(moments.randint(1, 300))
                node.kill()
                accepted |= load.stop()
        node = start_node(pipeline(server, "ndjson"))
        eventually(lambda: accepted <= set(numbers(server)), "all that was accepted")
        assert node.stop() == 0
        assert all(len(messages(request)) <= 50 for request in server.taken)
        assert len(server.taken) < len(accepted)


def test_one_bad_message_is_found_alone_and_the_others_are_delivered_once(start_node: StartNode) -> None:
    def rule(request: Request) -> Behaviour | None:
        return answer(422) if any("bad" in one for one in messages(request)) else None

    with serving(rule=rule) as server:
        node = start_node(pipeline(server, more="    concurrency: 1"))
        good = send(node, 20)
        bad = send(node, 1, bad=True)
        good |= send(node, 20)
        [id] = bad.values()
        letter = node.dead_letter(id)
        assert letter["code"] == "http/rejected", letter
        eventually(lambda: set(numbers(server)) == set(good), "the good ones")
        assert set(numbers(server).values()) == {1}
        assert [len(node.dead_letters()), node.stop()] == [1, 0]


def test_what_is_no_json_is_a_dead_letter_and_holds_up_nobody(start_node: StartNode) -> None:
    with serving() as server:
        node = start_node(pipeline(server))
        good = send(node, 3)
        id = node.accepts("/orders", b"<order/>", "application/xml")
        good |= send(node, 3)
        assert node.dead_letter(id)["code"] == "http/batch-not-json"
        eventually(lambda: set(numbers(server)) == set(good), "the JSON")


def code_of_out(node: Node) -> object:
    return node.counters("orders").get("outs", {}).get("default", {}).get("code")


OAUTH = """\
    auth:
      oauth2:
        token_url: {url}/token
        client_id: shop
        client_secret: {{secret: erp-client}}
        scopes: [orders.write]
"""
ENVIRONMENT = {"VRSKY_SECRET_ACME__ERP_CLIENT": "not-to-be-seen"}
TOKEN = b'{"access_token": "token-not-to-be-seen", "token_type": "Bearer", "expires_in": 3600}'


def test_a_token_is_asked_for_once_and_waited_for(start_node: StartNode) -> None:
    issue = answer(200, "Content-Type: application/json", body=TOKEN)
    with serving() as server, serving(answer(500), rule=lambda _: issue) as tokens:
        node = start_node(pipeline(server, more=OAUTH.format(url=tokens.url)), environment=ENVIRONMENT)
        sent = send(node, 60)
        eventually(lambda: set(numbers(server)) == set(sent), "all of them")
        assert {one.headers["authorization"] for one in server.taken} == {"Bearer token-not-to-be-seen"}
        assert len(tokens.requests) == 2
        assert tokens.requests[0].body == b"grant_type=client_credentials&scope=orders.write"
        assert node.stop() == 0
        assert "not-to-be-seen" not in json.dumps(node.said) + node.errors.read_text()


def test_a_client_that_is_refused_keeps_its_messages_and_is_shown(start_node: StartNode) -> None:
    refuse = answer(401, "Content-Type: application/json", body=b'{"error": "invalid_client"}')
    with serving() as server, serving(rule=lambda _: refuse) as tokens:
        node = start_node(pipeline(server, more=OAUTH.format(url=tokens.url)), environment=ENVIRONMENT)
        sent = send(node, 5)
        node.hears("retried", id=next(iter(sent.values())))
        eventually(lambda: code_of_out(node) == "http/oauth-refused", "an out that is shown as failing")
        assert (node.dead_letters(), server.requests) == ([], [])
        # A client that was refused is left alone: it is no password to be guessed.
        assert len(tokens.requests) == 1
        tokens.rule = lambda _: answer(200, body=TOKEN)
        # The next revision asks at once.
        start = node.folder / "pipelines" / "orders.yaml"
        start.write_text(start.read_text().replace("messages: 50", "messages: 40"))
        eventually(lambda: set(numbers(server)) == set(sent), "all of them")
