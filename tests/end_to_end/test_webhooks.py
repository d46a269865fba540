"""Webhooks: who has not signed is not let in, deliveries that come again are one, handshakes are no messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from .conftest import StartNode
from .node import Node, a_number, eventually

PIPELINE = """\
customer: acme
pipeline: {name}
in:
  http:
    path: '{path}'
    content_types: [json]
    {options}
{steps}
out: {{file: {{path: {name}.ndjson}}}}
"""
SEEN = """\
steps:
  - script: {code: 'export default (msg, ctx) => ({ ...msg, seen: ctx.headers })', language: js}
"""
SECRETS = {
    "VRSKY_SECRET_ACME__HOOK": "It's a secret",
    "VRSKY_SECRET_ACME__HOOK_OLD": "It was a secret",
    "VRSKY_SECRET_ACME__STANDARD": "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode(),
    "VRSKY_SECRET_ACME__SHOP": "of-the-shop",
    "VRSKY_SECRET_ACME__SHOP_OLD": "once-of-the-shop",
    "VRSKY_SECRET_ACME__WAREHOUSE": "of-the-warehouse",
    "VRSKY_SECRET_ACME__VERIFY": "meat-and-potatoes",
}


def pipeline(name: str, path: str, options: str, steps: str = "") -> dict[str, str]:
    return {f"{name}.yaml": PIPELINE.format(name=name, path=path, options=options, steps=steps)}


FILES = {
    **pipeline(
        "github",
        "/github",
        "auth: {webhook: {from: github, key: [{secret: hook}, {secret: hook-old}]}}",
        SEEN,
    ),
    **pipeline("stripe", "/stripe", "auth: {webhook: {from: stripe, key: {secret: hook}}}"),
    **pipeline("standard", "/standard", "auth: {webhook: {from: standard-webhooks, key: {secret: standard}}}"),
    **pipeline(
        "slack",
        "/slack",
        "auth: {webhook: {from: slack, key: {secret: hook}}}\n"
        "    handshake: {body: {when: {field: {type: url_verification}}}}",
    ),
    **pipeline(
        "meta",
        "/meta",
        "auth: {hmac: {header: X-Hub-Signature-256, prefix: 'sha256=', key: {secret: hook}}}\n"
        "    handshake:\n"
        "      query: {challenge: hub.challenge, verify: {parameter: hub.verify_token, token: {secret: verify}}}\n"
        "      cloud_events: {origins: [eventgrid.azure.net], rate: 120}",
    ),
    **pipeline("item", "/items/{id}", "methods: [POST, PUT]", SEEN),
    **pipeline("items", "/items/all", "methods: [PUT]", SEEN),
    **pipeline(
        "gone",
        "/gone/{id}",
        "methods: [PUT, DELETE]",
        SEEN.replace("steps:\n", 'steps:\n  - filter: headers["Request-method"] == "DELETE"\n'),
    ),
    **pipeline(
        "sold",
        "/sold",
        "auth: {bearer: [{secret: shop, sender: shop}, {secret: shop-old, sender: shop}, {secret: warehouse}]}",
    ),
}


@pytest.fixture
def node(start_node: StartNode) -> Node:
    node = start_node(FILES, environment=SECRETS)
    node.hears("ready")
    return node


def signature(text: bytes, secret: str = SECRETS["VRSKY_SECRET_ACME__HOOK"]) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def github(body: bytes, delivery: str, **more: str) -> dict[str, str]:
    return {"X_Hub_Signature_256": "sha256=" + signature(body, **more), "X_GitHub_Delivery": delivery}


def ask(node: Node, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(node.base).netloc, timeout=30)
    all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/in/acme{path}", body, all_headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


def test_only_what_is_signed_comes_in(node: Node) -> None:
    number = a_number()
    body = b'{"n": %d}' % number
    node.accepts("/github", body, **github(body, "d-1"))
    node.delivers_all("github.ndjson", {number})
    (line,) = node.lines("github.ndjson")
    assert {name.lower(): value for name, value in line["seen"].items()}["auth-name"] == "hook"
    wrong = {**github(body, "d-2"), "X_Hub_Signature_256": "sha256=" + signature(body, "another")}
    for headers, code in (
        ({}, "http/signature-missing"),
        (github(body + b" ", "d-2"), "http/signature-wrong"),
        (wrong, "http/signature-wrong"),
        ({"X_Hub_Signature_256": "sha1=" + "0" * 40}, "http/signature-malformed"),
    ):
        problem = node.refuses("/github", body, **headers)
        assert (problem["status"], problem["code"]) == (401, code)
        assert signature(body) not in json.dumps(problem)
    # While a secret is changed, both count.
    other = a_number()
    body = b'{"n": %d}' % other
    node.accepts("/github", body, **github(body, "d-3", secret=SECRETS["VRSKY_SECRET_ACME__HOOK_OLD"]))
    node.delivers_all("github.ndjson", {number, other})
    assert node.lines("github.ndjson")[1]["seen"]["auth-name"] == "hook-old"
    assert len(node.lines("github.ndjson")) == 2
    node.assert_alive()


def test_a_delivery_that_comes_again_is_one_message(node: Node) -> None:
    number = a_number()
    body = b'{"n": %d}' % number
    ids = {node.accepts("/github", body, **github(body, "d-1"), Idempotency_Key=f"k{n}") for n in range(3)}
    assert len(ids) == 1, "what is not signed does not make another message of it"
    assert node.accepts("/github", body, **github(body, "d-2")) not in ids
    # Stripe has no id outside of the body; each attempt is signed anew.
    now = int(time.time())
    signed = [f"t={at},v1={signature(b'%d.' % at + body)}" for at in (now, now - 1)]
    assert len({node.accepts("/stripe", body, Stripe_Signature=one) for one in signed}) == 1
    eventually(lambda: len(node.lines("github.ndjson")) >= 2, "both deliveries")
    node.delivers_all("stripe.ndjson", {number})
    assert node.stop() == 0
    assert [line["n"] for line in node.lines("github.ndjson")] == [number] * 2
    assert node.lines("stripe.ndjson") == [{"n": number}]


def test_what_was_signed_too_long_ago_is_refused(node: Node) -> None:
    body = b'{"n": 1}'
    key = base64.b64decode(SECRETS["VRSKY_SECRET_ACME__STANDARD"].removeprefix("whsec_"))

    def signed(at: int) -> dict[str, str]:
        text = b"msg_1.%d." % at + body
        tag = base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
        return {"webhook_id": "msg_1", "webhook_timestamp": str(at), "webhook_signature": f"v1,AAAA v1,{tag}"}

    now = int(time.time())
    malformed = node.refuses("/standard", body, **signed(now))
    assert malformed["code"] == "http/signature-malformed"
    for at in (now - 400, now + 400):
        headers = signed(at)
        headers["webhook_signature"] = headers["webhook_signature"].split()[1]
        problem = node.refuses("/standard", body, **headers)
        assert (problem["status"], problem["code"]) == (401, "http/signature-expired")
    headers = signed(now)
    headers["webhook_signature"] = headers["webhook_signature"].split()[1]
    node.accepts("/standard", body, **headers)


def test_handshakes_are_answered_and_are_no_messages(node: Node) -> None:
    now = str(int(time.time()))
    challenge = b'{"token": "t", "challenge": "3eZbrw1a", "type": "url_verification"}'

    def signed(body: bytes) -> dict[str, str]:
        value = "v0=" + signature(b"v0:" + now.encode() + b":" + body)
        return {
            "Content_Type": "application/json",
            "X_Slack_Request_Timestamp": now,
            "X_Slack_Signature": value,
        }

    status, headers, text = ask(node, "POST", "/slack", challenge, **signed(challenge))
    assert (status, text) == (200, "3eZbrw1a")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    body = b'{"n": 7, "type": "event_callback", "challenge": "mine"}'
    status, _, _ = ask(node, "POST", "/slack", body, **signed(body))
    assert status == 202

    query = "/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    status, _, text = ask(node, "GET", query + "meat-and-potatoes")
    assert (status, text) == (200, "1158201444")
    status, _, text = ask(node, "GET", query + "meat")
    assert (status, json.loads(text)["code"]) == (403, "http/handshake-refused")
    status, headers, _ = ask(node, "OPTIONS", "/meta", WebHook_Request_Origin="eventgrid.azure.net")
    assert (status, headers["webhook-allowed-origin"], headers["webhook-allowed-rate"]) == (
        200,
        "eventgrid.azure.net",
        "120",
    )
    status, headers, _ = ask(node, "OPTIONS", "/meta", WebHook_Request_Origin="evil.example")
    assert (status, headers.get("webhook-allowed-origin")) == (403, None)
    status, headers, _ = ask(node, "GET", "/meta")
    assert (status, headers["allow"]) == (405, "POST, GET, OPTIONS")
    node.delivers_all("slack.ndjson", {7})
    assert node.stop() == 0
    assert [line["n"] for line in node.lines("slack.ndjson")] == [7]
    assert node.lines("meta.ndjson") == []


def test_a_part_of_the_path_and_the_method_go_on_with_the_message(node: Node) -> None:
    json_body = {"Content_Type": "application/json"}
    assert ask(node, "PUT", "/items/a%20b", b'{"n": 1}', **json_body)[0] == 202
    assert ask(node, "POST", "/items/7", b'{"n": 2}', **json_body)[0] == 202
    assert ask(node, "PUT", "/items/all", b'{"n": 3}', **json_body)[0] == 202
    status, headers, _ = ask(node, "POST", "/items/all", b'{"n": 4}', **json_body)
    assert (status, headers["allow"]) == (405, "PUT")
    assert ask(node, "PUT", "/items/%0d%0a", b'{"n": 5}', **json_body)[0] == 400
    assert ask(node, "PUT", "/items/a/b", b'{"n": 6}', **json_body)[0] == 404
    node.delivers_all("item.ndjson", {1, 2})
    node.delivers_all("items.ndjson", {3})
    assert node.stop() == 0
    seen = {
        line["n"]: {name.lower(): text for name, text in line["seen"].items()} for line in node.lines("item.ndjson")
    }
    assert [(seen[n]["path-id"], seen[n]["request-method"]) for n in (1, 2)] == [("a b", "PUT"), ("7", "POST")]
    (line,) = node.lines("items.ndjson")
    assert line["n"] == 3
    assert not [name for name in line["seen"] if name.lower().startswith(("path-", "request-"))]


def test_a_delete_without_a_body_is_an_object_that_steps_fill(node: Node) -> None:
    assert ask(node, "DELETE", "/gone/5")[0] == 202
    assert ask(node, "DELETE", "/gone/6", Content_Type="application/json")[0] == 202
    eventually(lambda: len(node.lines("gone.ndjson")) == 2, "both deletions")
    lines = node.lines("gone.ndjson")
    assert all(set(line) == {"seen"} for line in lines)
    assert {line["seen"][name] for line in lines for name in line["seen"] if name.lower() == "path-id"} == {"5", "6"}
    assert node.dead_letters() == []


def test_two_senders_of_one_path_may_choose_the_same_idempotency_key(node: Node) -> None:
    def sold(n: int, token: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}", "Content_Type": "application/json", "Idempotency_Key": "1"}
        status, _, text = ask(node, "POST", "/sold", b'{"n": %d}' % n, **headers)
        return status, json.loads(text).get("id", text)

    status, first = sold(1, "of-the-shop")
    assert status == 202
    assert sold(1, "once-of-the-shop") == (202, first), "both secrets are the shop's"
    assert sold(2, "once-of-the-shop")[0] == 422
    status, other = sold(1, "of-the-warehouse")
    assert status == 202
    assert other != first
    eventually(lambda: len(node.lines("sold.ndjson")) == 2, "one of each sender")
    assert node.stop() == 0
    assert node.lines("sold.ndjson") == [{"n": 1}] * 2


def test_two_pipelines_cannot_have_paths_that_differ_in_a_parameters_name(start_node: StartNode) -> None:
    files = pipeline("one", "/items/{id}", "methods: [PUT]") | pipeline("two", "/items/{no}", "methods: [PUT]")
    node = start_node(files)
    node.hears("ready")
    said = eventually(lambda: [one for one in node.said if "config/conflict" in json.dumps(one)], "the conflict")
    assert "/in/acme/items/{}" in json.dumps(said)
    json_body = {"Content_Type": "application/json"}
    assert ask(node, "PUT", "/items/7", b'{"n": 1}', **json_body)[0] == 202
    node.delivers_all("one.ndjson", {1})
