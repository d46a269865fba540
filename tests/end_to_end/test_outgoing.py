"""Outgoing servers that refuse, hang, break off, answer wrong, or must not be reached at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from .conftest import StartNode
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

# What it does, the code of the dead letter, and a word of its reason. None: nothing listens there, or
# it must not be asked.
FAILS_FOR_GOOD: dict[str, tuple[Behaviour | None, str, str]] = {
    "not-there": (answer(404), "http/rejected", "404"),
    "moved": (answer(302, "Location: http://127.0.0.1:1/"), "http/redirect", "302"),
    "safe": (hang, "http/ambiguous", "may have taken"),
    "gone": (None, "deliver/retries-exhausted", "http/connect"),
    "metadata": (None, "http/refused-address", "169.254.169.254"),
    "intranet": (None, "http/refused-address", "10.0.0.1"),
    "mapped": (None, "http/refused-address", "169.254.169.254"),
    "lures": (answer(302, "Location: http://169.254.169.254/"), "http/refused-address", "169.254.169.254"),
}
URLS = {
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "intranet": "http://10.0.0.1/",
    "mapped": "http://[::ffff:169.254.169.254]/",
}
MORE = {
    "safe": "    retry: safe",
    "gone": "    retry_for: 1s",
    "lures": "    follow_redirects: true",
}


class World:
    """One node, a server for each pipeline, and a port where nobody listens yet."""

    def __init__(self, start: Callable[[dict[str, str]], Node]) -> None:
        self.servers: dict[str, Server] = {}
        files = {"fine.yaml": FINE}
        behaviours: dict[str, list[Behaviour]] = {name: [first] * 2 for name, (first, _) in BAD_DAYS.items()}
        behaviours |= {name: [first] for name, (first, _, _) in FAILS_FOR_GOOD.items() if first}
        behaviours |= {"fields": []}
        urls = dict(URLS)
        for name, first in behaviours.items():
            self.servers[name] = Server(*first)
            urls[name] = self.servers[name].url + ("/orders/{id}" if name == "fields" else "/")
        self.port = closed_port()
        urls |= {"refuses": f"http://127.0.0.1:{self.port}/", "gone": f"http://127.0.0.1:{closed_port()}/"}
        for name, url in urls.items():
            files[f"{name}.yaml"] = PIPELINE.format(name=name, url=f"'{url}'", more=MORE.get(name, ""))
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
    _, text = world.send(name)
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
    assert not [one for one in list(world.node.said) if one["kind"] == "dead" and one["pipeline"] == name]
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


def test_an_address_that_is_not_public_is_reached_when_the_operator_allows_it(start_node: StartNode) -> None:
    with serving() as server:
        # 0.0.0.0 is this machine, and not public.
        url = server.url.replace("127.0.0.1", "0.0.0.0")
        files = {"inside.yaml": PIPELINE.format(name="inside", url=f"'{url}'", more="")}
        node = start_node(files)
        refused = node.accepts("/inside", b'{"n": %d}' % a_number())
        assert node.dead_letter(refused)["code"] == "http/refused-address"
        assert node.stop() == 0
        assert not server.requests
        node = start_node(files, "--allow", "10.0.0.0/8", "--allow", "0.0.0.0")
        number = a_number()
        node.accepts("/inside", b'{"n": %d}' % number)
        server.got(b"%d" % number)
        assert node.stop() == 0


def test_what_fails_for_good_is_a_dead_letter_and_the_next_message_passes(world: World) -> None:
    sent = {name: world.send(name)[1] for name in FAILS_FOR_GOOD}
    dead = {name: world.node.hears("dead", pipeline=name) for name in FAILS_FOR_GOOD}
    letters = world.node.dead_letters_of({one["id"] for one in dead.values()})
    for name, (_, code, reason) in FAILS_FOR_GOOD.items():
        letter = letters[dead[name]["id"]]
        assert (letter["pipeline"], letter["code"], letter["step"]) == (name, code, "out:default")
        assert reason in letter["reason"]
        if name in world.servers:
            _, later = world.send(name)
            world.servers[name].got(later)
            assert len([one for one in world.servers[name].requests if sent[name] in one.body]) == 1
    shown = world.node.dead_letter(dead["not-there"]["id"])
    assert sent["not-there"].decode() in shown["payload"]
    world.in_good_order()


BREAKING_OUT = [
    "1\r\nX-Evil: 1\r\n\r\nPOST /admin HTTP/1.1\r\n",
    "1\n",
    "\x00",
    "\x85",
    "a\tb",
    "..",
    ".",
    "",
    "../../admin",
]


def test_a_field_that_would_break_out_of_the_url_is_a_dead_letter(world: World) -> None:
    texts = [world.send("fields", id=field)[1] for field in BREAKING_OUT]
    texts.append(world.send("fields")[1])
    letters = eventually(lambda: dead_of(world, "fields", len(texts)), "a dead letter for each")
    for letter in letters:
        assert (letter["code"], letter["step"]) == ("http/bad-url", "out:default")
        assert "field id" in letter["place"]
        assert letter["reason"]
    nothing_broke_out(world)
    world.in_good_order()


def dead_of(world: World, name: str, count: int) -> list[dict[str, object]]:
    found = [one for one in world.node.dead_letters() if one["pipeline"] == name]
    return found if len(found) == count else []


def test_a_field_with_characters_of_a_url_stays_one_segment(world: World) -> None:
    for field, segment in [
        ("a/b", "a%2Fb"),
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
