"""What a dead letter says of its message: the payload that failed, its type, its part, its times, its way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from ..conftest import Background
from .faults import right_value
from .node import Node, a_number, eventually
from .servers import Server, answer, serving
from .streams import frames_of

SPLIT = """\
customer: acme
pipeline: split
in: {http: {path: /split}}
steps:
  - convert: {from: xml, arrays: [order.line], numbers: [order.line.n]}
  - script: {language: js, code: "export default (msg) => msg.order.line"}
  - filter: n > 0
out: {file: {path: split.ndjson}}
"""

EDIT = """\
customer: acme
pipeline: edit
in: {http: {path: /edit}}
steps:
  - convert: {from: xml}
  - script: {language: js, code: "export default (msg) => { msg.seen = true; return msg; }"}
  - filter: order.n > 0
out: {file: {path: edit.ndjson}}
"""

# A document of XML has one root element: the second part has none.
TO_XML = """\
customer: acme
pipeline: to-xml
in: {http: {path: /to-xml}}
steps:
  - script: {language: js, code: "export default (msg) => msg.parts"}
  - convert: {from: json, to: xml}
out: {file: {path: to-xml.ndjson}}
"""

REJECTED = """\
customer: acme
pipeline: rejected
in: {{http: {{path: /rejected, content_types: [json]}}}}
steps:
  - script: {{language: js, code: "export default (msg) => msg.parts ?? msg"}}
out: {{http: {{url: '{url}/orders/{{n}}?v=1'}}}}
"""


@pytest.fixture(scope="module")
def rejecting() -> Iterator[Server]:
    with serving(*[answer(404)] * 100) as server:
        yield server


@pytest.fixture(scope="module")
def node(start_shared_node: Callable[[dict[str, str]], Node], rejecting: Server) -> Node:
    files = {"split.yaml": SPLIT, "edit.yaml": EDIT, "to-xml.yaml": TO_XML}
    return start_shared_node(files | {"rejected.yaml": REJECTED.format(url=rejecting.url)})


def split(node: Node) -> tuple[str, bytes]:
    """An order of three lines, the second of which fails; its id, and the order."""
    lines = f"<line><n>{a_number()}</n></line><line><m>2</m></line><line><n>{a_number()}</n></line>"
    order = f"<order>{lines}</order>".encode()
    return node.accepts("/split", order, "application/xml"), order


def content_type_holds(letter: dict[str, Any]) -> bool:
    """Whether the payload is of the type that the letter says."""
    kind, payload = letter["headers"]["Content-Type"], letter["payload"]
    try:
        _ = {"application/json": json.loads, "application/xml": ElementTree.fromstring}[kind](payload)
    except (ValueError, ElementTree.ParseError):
        return False
    return True


def test_the_content_type_of_a_failed_part_is_that_of_its_payload(node: Node) -> None:
    message, _ = split(node)
    letter = node.dead_letter(message)
    assert json.loads(letter["payload"]) == {"m": "2"}
    with right_value():
        assert content_type_holds(letter), letter["headers"]


def test_the_content_type_of_an_edited_message_that_fails_is_that_of_its_payload(node: Node) -> None:
    letter = node.dead_letter(node.accepts("/edit", b"<order><m>1</m></order>", "application/xml"))
    assert letter["code"] == "filter/missing-field"
    with right_value():
        assert content_type_holds(letter), (letter["headers"], letter["payload"])


def test_a_failed_part_has_its_own_number(node: Node) -> None:
    message, _ = split(node)
    letter = node.dead_letter(message)
    with right_value():
        # The second of three, counted from 0.
        assert letter["headers"]["Vrsky-Part"] == "1"


def test_a_part_that_cannot_be_written_in_its_format_is_alone_in_its_letter(node: Node) -> None:
    parts = [{"a": {"n": a_number()}}, {"b": 1, "c": 2}, {"a": {"n": a_number()}}]
    letter = node.dead_letter(node.accepts("/to-xml", json.dumps({"parts": parts}).encode()))
    assert letter["code"].startswith("convert/")
    with right_value():
        assert json.loads(letter["payload"]) == parts[1]
        assert content_type_holds(letter)


def test_the_message_of_a_failed_part_can_be_found_as_it_came(node: Node, background: Background) -> None:
    message, order = split(node)
    letter = node.dead_letter(message)
    # What is kept beside the letter is no letter.
    assert [one["sequence"] for one in node.dead_letters() if one["id"] == message] == [letter["sequence"]]
    with right_value():
        assert (order.decode(), "application/xml") in kept(node, message, background)


def test_an_edited_message_that_fails_can_be_found_as_it_came(node: Node, background: Background) -> None:
    order = f"<order><m>{a_number()}</m></order>"
    message = node.accepts("/edit", order.encode(), "application/xml")
    assert node.dead_letter(message)["code"] == "filter/missing-field"
    with right_value():
        assert (order, "application/xml") in kept(node, message, background)


def kept(node: Node, message: str, background: Background) -> list[tuple[str, str | None]]:
    """Payload and type of everything in the dead letters' stream under the message's id."""
    frames = background(frames_of(node.endpoint(), "VRSKY_DEAD"))
    return [(one.payload, one.header("Content-Type")) for one in frames if one.header("Vrsky-Id") == message]


def test_the_letter_of_an_out_has_the_url_and_the_headers_to_send_it_again(node: Node, rejecting: Server) -> None:
    number = a_number()
    body = json.dumps({"n": number}).encode()
    letter = node.dead_letter(node.accepts("/rejected", body, traceparent="00-1-2-01", ce_type="order"))
    assert (letter["step"], letter["code"]) == ("out:default", "http/rejected")
    (request,) = [one for one in rejecting.requests if one.target == f"/orders/{number}?v=1"]
    assert (letter["headers"]["traceparent"], letter["headers"]["ce-type"]) == ("00-1-2-01", "order")
    with right_value():
        assert request.target in letter["headers"].get("Vrsky-Url", "")


def test_the_letter_of_an_out_has_the_number_of_its_part(node: Node) -> None:
    parts = [{"n": a_number()}, {"n": a_number()}, {"n": a_number()}]
    message = node.accepts("/rejected", json.dumps({"parts": parts}).encode())
    found = letters_of_three(node, message)
    numbers = {json.loads(one["payload"])["n"]: one["headers"]["Vrsky-Part"] for one in found}
    with right_value():
        assert numbers == {part["n"]: str(number) for number, part in enumerate(parts)}


def letters_of_three(node: Node, message: str) -> list[dict[str, Any]]:
    def listed() -> list[int]:
        found = [one["sequence"] for one in node.dead_letters() if one["id"] == message]
        return found if len(found) == 3 else []

    return [node.shown(sequence) for sequence in eventually(listed, "three letters")]


def test_a_letter_says_when_it_died_beside_when_it_came(node: Node) -> None:
    letter = node.dead_letter(node.accepts("/edit", b"<order/", "application/xml"))
    assert letter["died_ms"] >= letter["time_ms"] > 0
