"""Payloads that are broken, hostile, or too much: refused at the door or a dead letter, each by name."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from .node import Node, a_number, eventually

XML = """\
customer: acme
pipeline: xml
in: {http: {path: /xml}}
steps:
  - convert: {from: xml, numbers: [order.n]}
  - filter: order.n > 0
out: {file: {path: xml.ndjson}}
"""

JSON = """\
customer: acme
pipeline: json
in: {http: {path: /json}}
steps:
  - filter: n > 0
out: {file: {path: json.ndjson}}
"""

BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [
 <!ENTITY lol "lol">
 <!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
 <!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">
]>
<order><n>&lol3;</n></order>"""


@pytest.fixture(scope="module")
def node(start_shared_node: Callable[[dict[str, str]], Node]) -> Node:
    return start_shared_node({"xml.yaml": XML, "json.yaml": JSON})


XML_FAULTS = {
    "an end tag that does not match": (b"<order><n>1</m></order>", "xml/not-well-formed", "byte 13"),
    "cut off in the middle": (b"<order><n>1</n>", "xml/not-well-formed", "byte"),
    "no XML at all": (b"order n=1", "xml/not-well-formed", "byte 0"),
    "nothing": (b"", "xml/not-well-formed", "byte 0"),
    "two roots": (b"<order/><order/>", "xml/not-well-formed", "byte 8"),
    "a declared encoding": (
        b"<?xml version='1.0' encoding='ISO-8859-15'?><order><n>1</n></order>",
        "xml/encoding",
        "byte",
    ),
    "UTF-16 that says nothing": ("<order><n>1</n></order>".encode("utf-16-le"), "xml/encoding", "byte 0"),
    "UTF-16 with half a character": ("<order><n>".encode("utf-16") + b"\x00\xd8<\x00", "xml/encoding", "byte 22"),
    "Latin-1 bytes": (b"<order><n>1</n><c>Z\xfcrich</c></order>", "xml/invalid-utf8", "byte 19"),
    "a control character": (b"<order><n>1</n>\x01</order>", "xml/invalid-character", "byte 15"),
    "10,000 levels": (b"<a>" * 10_000 + b"</a>" * 10_000, "xml/too-deep", "byte 769"),
    "a billion laughs": (BILLION_LAUGHS, "xml/doctype", "byte 22"),
    "an external entity": (
        b'<!DOCTYPE o [<!ENTITY e SYSTEM "file:///etc/passwd">]><order><n>&e;</n></order>',
        "xml/doctype",
        "byte 0",
    ),
    "an unknown entity": (b"<order><n>&lol;</n></order>", "xml/unknown-entity", "byte 10"),
    "no number where one is declared": (b"<order><n>many</n></order>", "convert/not-a-number", "field order.n"),
    "a missing field": (b"<order><m>1</m></order>", "filter/missing-field", "field order.n"),
}

JSON_FAULTS = {
    "a comma too many": (b'{"n": 1,}', "json/syntax", "byte 8"),
    "cut off in the middle": (b'{"n": 1', "json/syntax", "byte 7"),
    "no JSON at all": (b"n=1", "json/syntax", "byte 1"),
    "nothing": (b"", "json/syntax", "byte 0"),
    "two values": (b'{"n": 1} {"n": 2}', "json/syntax", "byte 9"),
    "NaN": (b'{"n": NaN}', "json/syntax", "byte 6"),
    "a key twice": (b'{"n": 1, "n": 2}', "json/duplicate-key", "byte 9"),
    "Latin-1 bytes": (b'{"n": 1, "c": "Z\xfcrich"}', "json/invalid-utf8", "byte 16"),
    "10,000 levels": (b'{"n":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "json/too-deep", "byte"),
    "a missing field": (b'{"m": 1}', "filter/missing-field", "field n"),
    "a text where a number is compared": (b'{"n": "1"}', "filter/wrong-type", "field n"),
}


def in_good_order(node: Node) -> None:
    node.still_works("/json", "json.ndjson")
    number = a_number()
    node.accepts("/xml", b"<order><n>%d</n></order>" % number, "application/xml")
    eventually(lambda: {"order": {"n": number}} in node.lines("xml.ndjson"), "the order in xml.ndjson")


def test_xml_that_cannot_be_used_is_a_dead_letter_with_the_byte(node: Node) -> None:
    check_faults(node, "/xml", "application/xml", XML_FAULTS)
    in_good_order(node)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("<order><n>{}</n><c>Zürich</c></order>".encode("latin-1"), "application/xml; charset=ISO-8859-1"),
        ("<order><n>{}</n><c>Zürich</c></order>".encode("windows-1252"), 'text/xml; charset="windows-1252"'),
        ("<order><n>{}</n><c>Zürich</c></order>".encode(), "application/xml; charset=utf-8"),
        (
            "<?xml version='1.0' encoding='latin1'?><order><n>{}</n><c>Zürich</c></order>".encode("latin-1"),
            "application/xml",
        ),
        (
            "<?xml version='1.0' encoding='latin1'?><order><n>{}</n><c>Zürich</c></order>".encode(),
            "application/xml; charset=utf-8",
        ),
    ],
)
def test_xml_is_read_in_the_charset_it_is_posted_with(node: Node, body: bytes, content_type: str) -> None:
    number = a_number()
    node.accepts("/xml", body.replace(b"{}", b"%d" % number), content_type)
    expected = {"order": {"n": number, "c": "Zürich"}}
    eventually(lambda: expected in node.lines("xml.ndjson"), "the order in xml.ndjson")


def test_xml_in_utf_16_is_read(node: Node) -> None:
    number = a_number()
    body = f"<order><n>{number}</n><c>Zürich 😀</c></order>"
    for data, content_type in [
        (body.encode("utf-16"), "application/xml"),
        (body.encode("utf-16-be"), "application/xml; charset=utf-16be"),
    ]:
        node.accepts("/xml", data, content_type)
    expected = {"order": {"n": number, "c": "Zürich 😀"}}
    eventually(lambda: node.lines("xml.ndjson").count(expected) == 2, "both orders in xml.ndjson")


def test_json_that_cannot_be_used_is_a_dead_letter_with_the_byte(node: Node) -> None:
    check_faults(node, "/json", "application/json", JSON_FAULTS)
    in_good_order(node)


def check_faults(node: Node, path: str, content_type: str, faults: dict[str, tuple[bytes, str, str]]) -> None:
    """Sends all of them, then looks at each dead letter: code, place, payload."""
    ids = {what: node.accepts(path, body, content_type) for what, (body, _, _) in faults.items()}
    letters = node.dead_letters_of(set(ids.values()))
    found = {what: (letters[of]["code"], letters[of]["place"], letters[of]["reason"]) for what, of in ids.items()}
    wrong = {
        what: (found[what], code, place)
        for what, (_, code, place) in faults.items()
        if found[what][0] != code or not has_place(found[what][1], place) or not found[what][2]
    }
    assert not wrong
    what, (body, _, _) = next(iter(faults.items()))
    assert node.dead_letter(ids[what])["payload"] == body.decode()


def has_place(place: str, wanted: str) -> bool:
    """`byte 1` is not `byte 13`."""
    return f"{wanted}," in f"{place}," or (wanted == "byte" and ", byte " in place)


@pytest.mark.parametrize(
    ("content_type", "headers", "status", "code"),
    [
        ("application/xml; charset=ISO-8859-15", {}, 415, "http/unsupported-media-type"),
        ("application/xml; charset=utf-8; charset=utf-16", {}, 415, "http/unsupported-media-type"),
        ("text/plain; charset=ISO-8859-1", {}, 415, "http/unsupported-media-type"),
        ("application/json", {}, 415, "http/unsupported-media-type"),
        ("image/png", {}, 415, "http/unsupported-media-type"),
        ("application/xml", {"Content_Encoding": "br"}, 415, "http/unsupported-media-type"),
        ("application/xml", {"traceparent": "Z\xfcrich"}, 400, "http/bad-request"),
    ],
)
def test_what_the_door_does_not_take_is_a_problem_document(
    node: Node, content_type: str, headers: dict[str, str], status: int, code: str
) -> None:
    problem = node.refuses("/xml", b"<order><n>1</n></order>", content_type, **headers)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    in_good_order(node)


def test_a_body_of_just_the_limit_passes_and_one_more_byte_is_refused(node: Node) -> None:
    number = a_number()
    body = b'{"n": %d}' % number
    body += b" " * (8 * 1024 * 1024 - len(body))
    node.accepts("/json", body, **{"Idempotency-Key": "k" * 200, "ce-source": "s" * 4_000})
    node.delivers_all("json.ndjson", {number})
    assert node.refuses("/json", body + b" ")["code"] == "http/too-large"


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_a_body_of_100_mb_is_refused_with_413(node: Node, chunked: bool) -> None:
    status, problem = post_without_end(node, "/json", 100_000_000, chunked)
    assert (status, problem["status"], problem["code"]) == (413, 413, "http/too-large")
    in_good_order(node)


def post_without_end(node: Node, path: str, size: int, chunked: bool) -> tuple[int, dict[str, object]]:
    """Sends on until there is an answer, as a client does that reads while it writes."""
    parts = urlsplit(node.url(path))
    assert parts.hostname is not None
    assert parts.port is not None
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    piece = b"[" * 65_536
    piece = b"10000\r\n" + piece + b"\r\n" if chunked else piece
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(head.encode())
        sent = 0
        while sent < size and not select.select([connection], [], [], 0)[0]:
            connection.sendall(piece)
            sent += 65_536
        head_bytes, _, body = read_answer(connection).partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), json.loads(body)


def read_answer(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.rstrip().endswith(b"}"):
        more = connection.recv(65_536)
        if not more:
            break
        answer += more
    return answer


def test_bad_ones_among_many_good_ones_fail_alone(node: Node) -> None:
    bad = [b'{"n": %d,}', b'{"m": %d}', b'{"n": "%d"}', b"%d]"]

    def send(turn: int) -> tuple[int, str, bool]:
        number, is_bad = a_number(), turn % 10 == 0
        body = (bad[turn // 10 % len(bad)] if is_bad else b'{"n": %d}') % number
        return number, node.accepts("/json", body), is_bad

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(send, range(400)))
    good = {number for number, _, is_bad in sent if not is_bad}
    failed = {sent_id for _, sent_id, is_bad in sent if is_bad}
    node.delivers_all("json.ndjson", good)
    node.dead_letters_of(failed)
    codes = {one["id"]: one["code"] for one in node.dead_letters()}
    assert {codes[sent_id] for sent_id in failed} == {"json/syntax", "filter/missing-field", "filter/wrong-type"}
    assert not {sent_id for _, sent_id, is_bad in sent if not is_bad} & set(codes)
    counts = [line["n"] for line in node.lines("json.ndjson")]
    assert len([n for n in counts if n in good]) == len(good)
    in_good_order(node)
