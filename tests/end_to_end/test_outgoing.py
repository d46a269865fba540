"""Outgoing servers that refuse, hang, break off, answer wrong, or must not be reached at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from .node import Node, a_number, eventually
from .servers import Behaviour, Server, answer, closed_port, half_a_body, half_a_head, hang, serving

PIPELINE = """\
customer: acme
pipeline: {name}
in: {{http: {{path: /{name}, content_types: [json]}}}}
out:
  http:
    url: {url}
    timeout: 1s
{more}
"""

FINE = """\
customer: acme
pipeline: fine
in: {http: {path: /fine, content_types: [json]}}
out: {file: {path: fine.ndjson}}
"""

# What it does first, and the code under which that is shown while it is tried again.
BAD_DAYS: dict[str, tuple[Behaviour, str]] = {
    "hangs": (hang, "http/timeout"),
    "fails": (answer(500), "http/server-error"),
    "is-busy": (answer(503, "Retry-After: 0"), "http/server-error"),
    "breaks-off": (half_a_body, "http/bad-response"),
    "stammers": (half_a_head, "http/bad-response"),
}

FOR_GOOD: dict[str, tuple[Behaviour, str, str]] = {
    "not-there": (answer(404), "http/rejected", "404"),
    "moved": (answer(302, "Location: http://127.0.0.1:1/"), "http/redirect", "302"),
}

FORBIDDEN = {
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "intranet": "http://10.0.0.1/",
    "mapped": "http://[::ffff:169.254.169.254]/",
}


class World:
    """One node, a server for each pipeline, and a port where nobody listens yet."""

    def __init__(self, start: Callable[[dict[str, str]], Node]) -> None:
        self.servers: dict[str, Server] = {}
        files = {"fine.yaml": FINE}
        behaviours: list[tuple[str, list[Behaviour]]] = [(name, [first] * 2) for name, (first, _) in BAD_DAYS.items()]
        behaviours += [(name, [first]) for name, (first, _, _) in FOR_GOOD.items()]
        behaviours += [("fields", []), ("safe", [hang]), ("lures", [answer(302, f"Location: {FORBIDDEN['metadata']}")])]
        for name, first in behaviours:
            server = self.servers[name] = Server(*first)
            path = "/orders/{id}" if name == "fields" else "/"
            more = {"safe": "    retry: safe", "lures": "    follow_redirects: true"}.get(name, "")
            files[f"{name}.yaml"] = PIPELINE.format(name=name, url=f"'{server.url}{path}'", more=more)
        self.port = closed_port()
        refusing = f"http://127.0.0.1:{self.port}/"
        files["refuses.yaml"] = PIPELINE.format(name="refuses", url=refusing, more="")
        gone = f"http://127.0.0.1:{closed_port()}/"
        files["is-gone.yaml"] = PIPELINE.format(name="is-gone", url=gone, more="    retry_for: 1s")
        for name, url in FORBIDDEN.items():
            files[f"{name}.yaml"] = PIPELINE.format(name=name, url=f"'{url}'", more="")
        self.node = start(files)

    def send(self, name: str, **fields: object) -> tuple[str, bytes]:
        """The id of a message, and what only it has in its body."""
        number = a_number()
        return self.node.accepts(f"/{name}", json.dumps({"n": number} | fields).encode()), b"%d" % number

    def in_good_order(self) -> None:
        self.node.still_works("/fine", "fine.ndjson")


@pytest.fixture(scope="module")
def world(start_shared_node: Callable[[dict[str, str]], Node]) -> Iterator[World]:
    world = World(start_shared_node)
    yield world
    for server in world.servers.values():
        server.close()


@pytest.mark.parametrize("name", BAD_DAYS)
def test_a_server_on_a_bad_day_is_tried_again_until_it_is_well(world: World, name: str) -> None:
    id, text = world.send(name)
    retried = world.node.hears("retried", pipeline=name)
    assert (retried["code"], retried["step"]) == (BAD_DAYS[name][1], "default")
    server = world.servers[name]
    taken = server.got(text)
    attempts = [one for one in server.requests if text in one.body]
    assert len(attempts) == 3
    assert {one.headers["idempotency-key"] for one in attempts} == {taken.headers["idempotency-key"]}
    world.node.hears("delivered", pipeline=name)
    _, later = world.send(name)
    server.got(later)
    assert id not in {one["id"] for one in world.node.dead_letters()}
    world.in_good_order()


def test_a_server_that_refuses_gets_everything_when_it_is_back(world: World) -> None:
    sent = [world.send("refuses") for _ in range(20)]
    assert world.node.hears("retried", pipeline="refuses")["code"] == "http/connect"
    world.in_good_order()
    with serving(port=world.port) as server:
        for _, text in sent:
            server.got(text)
        _, later = world.send("refuses")
        server.got(later)
    world.in_good_order()


def test_a_server_that_stays_away_costs_a_dead_letter_after_retry_for(world: World) -> None:
    id, text = world.send("is-gone")
    letter = world.node.dead_letter(outgoing_id(world, "is-gone"))
    assert (letter["code"], letter["step"]) == ("deliver/retries-exhausted", "out:default")
    assert "http/connect" in letter["reason"]
    assert text.decode() in letter["payload"]
    assert id
    world.in_good_order()


@pytest.mark.parametrize("name", FOR_GOOD)
def test_a_refusal_for_good_is_a_dead_letter_and_the_next_message_passes(world: World, name: str) -> None:
    _, text = world.send(name)
    letter = world.node.dead_letter(outgoing_id(world, name))
    _, code, reason = FOR_GOOD[name]
    assert (letter["code"], letter["step"]) == (code, "out:default")
    assert reason in letter["reason"]
    assert text.decode() in letter["payload"]
    _, later = world.send(name)
    world.servers[name].got(later)
    assert len([one for one in world.servers[name].requests if text in one.body]) == 1
    world.in_good_order()


def test_with_retry_safe_an_unknown_end_is_a_dead_letter_and_is_not_repeated(world: World) -> None:
    _, text = world.send("safe")
    letter = world.node.dead_letter(outgoing_id(world, "safe"))
    assert (letter["code"], letter["step"]) == ("http/ambiguous", "out:default")
    _, later = world.send("safe")
    world.servers["safe"].got(later)
    assert len([one for one in world.servers["safe"].requests if text in one.body]) == 1
    world.in_good_order()


@pytest.mark.parametrize("name", [*FORBIDDEN, "lures"])
def test_an_address_that_is_not_allowed_is_never_dialled(world: World, name: str) -> None:
    _, text = world.send(name)
    letter = world.node.dead_letter(outgoing_id(world, name))
    assert (letter["code"], letter["step"]) == ("http/refused-address", "out:default")
    assert letter["reason"]
    assert text.decode() in letter["payload"]
    world.in_good_order()


@pytest.mark.parametrize(
    "field",
    ["1\r\nX-Evil: 1\r\n\r\nPOST /admin HTTP/1.1\r\n", "1\n", "\x00", "..", ".", "", "\u2028\x85", "a\tb"],
    ids=repr,
)
def test_a_field_that_would_break_out_of_the_url_is_a_dead_letter(world: World, field: str) -> None:
    id, text = world.send("fields", id=field)
    dead = world.node.hears("dead", pipeline="fields", id=outgoing_id(world, "fields", text))
    assert (dead["code"], dead["step"]) == ("http/bad-url", "out:default")
    assert "id" in dead["why"]
    assert id
    nothing_broke_out(world)
    world.in_good_order()


def test_a_field_with_characters_of_a_url_stays_one_segment(world: World) -> None:
    for field, segment in [
        ("../../admin", "..%2F..%2Fadmin"),
        ("1?x=1#y", "1%3Fx%3D1%23y"),
        ("@evil.example/", "%40evil.example%2F"),
        ("Z\u00fcrich", "Z%C3%BCrich"),
    ]:
        _, text = world.send("fields", id=field)
        assert world.servers["fields"].got(text).target == f"/orders/{segment}"
    nothing_broke_out(world)
    world.in_good_order()


def nothing_broke_out(world: World) -> None:
    for request in world.servers["fields"].requests:
        assert request.target.startswith("/orders/")
        assert "x-evil" not in request.headers


def outgoing_id(world: World, name: str, text: bytes = b"") -> str:
    """The id of the pipeline's last dead letter: an output has an id of its own."""
    del text
    dead = eventually(
        lambda: [one for one in list(world.node.said) if one["kind"] == "dead" and one["pipeline"] == name], name
    )
    return str(dead[-1]["id"])
