"""What stands still says so: consumers and streams that are gone, and servers that refuse or have no leader."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint

from ..certificates import Listening
from ..conftest import Background, clean_environment, command, post
from .conftest import StartNode, write_pipelines
from .node import Node, a_number, eventually
from .servers import closed_port
from .streams import call, held, make, put

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
out: {file: {path: orders.ndjson}}
"""

EVENTS = """\
customer: acme
pipeline: events
in: {nats: {mode: jetstream, stream: EVENTS, subject: 'events.>'}}
out: {file: {path: events.ndjson}}
"""


def url_of(endpoint: Endpoint) -> str:
    return endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")


def is_failing(condition: dict[str, Any], code: str = "nats/") -> bool:
    return condition.get("state") == "failing" and str(condition.get("code")).startswith(code)


# -- consumers and streams that are gone ----------------------------------------------------------


@pytest.fixture
def events(start_node: StartNode, server: Server, background: Background) -> Node:
    """A node that reads a stream of its user's, and has read one message of it."""
    background(make(server.endpoint, "EVENTS", "events.>"))
    node = start_node({"events.yaml": EVENTS, "orders.yaml": ORDERS}, "--nats", url_of(server.endpoint))
    deliver_event(node, server, background)
    return node


def deliver_event(node: Node, server: Server, background: Background) -> None:
    number = a_number()
    background(put(server.endpoint, "events.new", json.dumps({"n": number}), Content_Type="application/json"))
    eventually(lambda: number in node.numbers("events.ndjson"), "an event that was published now")


def test_a_pull_consumer_that_was_deleted_is_made_again(events: Node, server: Server, background: Background) -> None:
    background(call(server.endpoint, "CONSUMER.DELETE.EVENTS.vrsky_acme_events"))
    deliver_event(events, server, background)
    events.still_works("/orders", "orders.ndjson")


def test_a_users_stream_that_was_deleted_is_an_event_and_failing(
    events: Node, server: Server, background: Background
) -> None:
    background(call(server.endpoint, "STREAM.DELETE.EVENTS"))
    eventually(lambda: is_failing(events.counters("events").get("in", {})), "an in that is failing")
    assert [one for one in list(events.said) if one["kind"] == "node" and "EVENTS" in one["why"]]
    events.still_works("/orders", "orders.ndjson")


def test_a_users_stream_that_is_made_again_is_read_again(events: Node, server: Server, background: Background) -> None:
    background(call(server.endpoint, "STREAM.DELETE.EVENTS"))
    background(make(server.endpoint, "EVENTS", "events.>"))
    deliver_event(events, server, background)


@pytest.mark.parametrize("lane", ["logic", "outgoing"])
def test_the_consumer_of_a_lane_that_was_deleted_is_made_again(
    start_node: StartNode, server: Server, background: Background, lane: str
) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--nats", url_of(server.endpoint))
    node.still_works("/orders", "orders.ndjson")
    background(call(server.endpoint, f"CONSUMER.DELETE.VRSKY_{lane.upper()}_T1000_0.{lane}"))
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    eventually(lambda: number in node.numbers("orders.ndjson"), "a message that was accepted now")
    node.assert_alive()


FILTERED = ORDERS.replace("out:", "steps: [{filter: n > 0}]\nout:")


@pytest.mark.parametrize("stream", ["VRSKY_LOGIC_T1000_0", "VRSKY_OUTGOING_T1000_0", "VRSKY_DEAD"])
def test_a_stream_of_ours_that_was_deleted_in_the_middle_is_made_again(
    start_node: StartNode, server: Server, background: Background, stream: str
) -> None:
    node = start_node({"orders.yaml": FILTERED}, "--nats", url_of(server.endpoint))
    node.still_works("/orders", "orders.ndjson")
    background(call(server.endpoint, f"STREAM.DELETE.{stream}"))
    eventually(lambda: stream in streams_of(server, background), f"another {stream}")
    eventually(lambda: any(stream in json.dumps(one) for one in list(node.said)), "a word that it was gone")
    node.still_works("/orders", "orders.ndjson")
    node.accepts("/orders", b"{}")
    eventually(lambda: background(held(server.endpoint, "VRSKY_DEAD")) == 1, "a dead letter")


def streams_of(server: Server, background: Background) -> list[str]:
    return list(background(call(server.endpoint, "STREAM.NAMES"))["streams"])


def test_after_a_server_that_comes_back_empty_messages_flow_again(
    start_node: StartNode, server: Server, background: Background
) -> None:
    node = start_node({"orders.yaml": ORDERS}, "--nats", url_of(server.endpoint))
    node.still_works("/orders", "orders.ndjson")
    url = server.endpoint.url
    background(server.stop())
    shutil.rmtree(server.layout.store)
    assert background(server.start()).url == url
    eventually(lambda: accepts(node), "an answer 202")
    node.still_works("/orders", "orders.ndjson")


def accepts(node: Node) -> bool:
    return post(node.url("/orders"), b'{"n": %d}' % a_number(), "application/json")[0] == 202


# -- what the server does not permit --------------------------------------------------------------

PERMISSIONS = """\
authorization {{ users: [
  {{
    user: node, password: secret
    permissions: {{ publish: {{ deny: [{publish}] }}, subscribe: {{ deny: [{subscribe}] }} }}
  }}
  {{ user: admin, password: secret }}
] }}
"""

RELAY = """\
customer: acme
pipeline: relay
in: {nats: {subject: in.free}}
out: {nats: {subject: out.denied}}
"""

TO_STREAM = """\
customer: acme
pipeline: relay
in: {nats: {subject: in.free}}
out: {nats: {mode: jetstream, subject: out.denied}}
"""

FROM_DENIED = """\
customer: acme
pipeline: relay
in: {nats: {subject: in.denied}}
out: {file: {path: relay.ndjson}}
"""


@contextmanager
def permitting(folder: Path, publish: str = "", subscribe: str = "") -> Iterator[tuple[str, Endpoint]]:
    """A server that permits its user `node` all but these subjects: its URL for the node, and for an administrator."""
    with Listening(folder, PERMISSIONS.format(publish=publish, subscribe=subscribe)) as server:
        address = f"127.0.0.1:{server.port}"
        yield f"nats://node:secret@{address}", Endpoint(f"nats://{address}", "admin", "secret")


def publish_core(endpoint: Endpoint, background: Background, subject: str) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await client.publish(subject, b'{"n": 1}', headers={"Content-Type": "application/json"})
            await client.flush()

    background(scenario())


def test_a_publish_that_is_refused_is_failing_and_counted_and_never_delivered(
    start_node: StartNode, tmp_path: Path, background: Background
) -> None:
    with permitting(tmp_path / "nats", publish='"out.denied"') as (url, admin):
        node = start_node({"relay.yaml": RELAY}, "--nats", url)
        node.hears("ready")
        publish_core(admin, background, "in.free")
        eventually(lambda: node.counters("relay").get("received") == 1, "a message")
        eventually(lambda: is_failing(out_of(node)), "an out that is failing")
        stats = node.counters("relay")
        assert stats["delivered"] == 0
        assert stats["retried"] + stats["lost"] + stats["dead"] > 0
        assert node.stop() == 0


def in_of(node: Node) -> dict[str, Any]:
    return dict(node.counters("relay").get("in", {}))


def out_of(node: Node) -> dict[str, Any]:
    return dict(node.counters("relay").get("outs", {}).get("default", {}))


def test_a_publish_to_a_stream_that_is_refused_is_failing(
    start_node: StartNode, tmp_path: Path, background: Background
) -> None:
    with permitting(tmp_path / "nats", publish='"out.denied"') as (url, admin):
        background(make(admin, "OUT", "out.>"))
        node = start_node({"relay.yaml": TO_STREAM}, "--nats", url)
        node.hears("ready")
        publish_core(admin, background, "in.free")
        eventually(lambda: node.counters("relay").get("received") == 1, "a message")
        try:
            eventually(lambda: is_failing(out_of(node), "nats/authorization"), "an out that is failing")
            assert node.counters("relay")["delivered"] == 0
        finally:
            # A drain would wait for the message.
            node.kill()


def test_a_subscription_that_is_refused_is_an_event_and_failing(start_node: StartNode, tmp_path: Path) -> None:
    with permitting(tmp_path / "nats", subscribe='"in.denied"') as (url, _):
        node = start_node({"relay.yaml": FROM_DENIED}, "--nats", url)
        node.hears("ready")
        eventually(lambda: is_failing(in_of(node), "nats/authorization"), "an in that is failing")
        assert [one for one in list(node.said) if one["kind"] == "node" and "in.denied" in one["why"]]


@pytest.mark.parametrize("verb", ["run", "dlq"])
def test_a_jetstream_api_that_may_not_be_used_is_no_time_out(tmp_path: Path, verb: str) -> None:
    write_pipelines(tmp_path, {"orders.yaml": ORDERS})
    words = {"run": ["run", "pipelines", "--listen", "127.0.0.1:0"], "dlq": ["dlq", "ls"]}[verb]
    with permitting(tmp_path / "nats", publish='"$JS.API.>"') as (url, _):
        done = subprocess.run(
            command(*words, "--json"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            env=clean_environment() | {"VRSKY_NATS": url},
        )
    assert done.returncode == 3, done.stderr
    assert "nats/authorization" in done.stdout + done.stderr


# -- a cluster without a leader -------------------------------------------------------------------


class Cluster:
    """Three servers of one cluster; JetStream has a leader when two of them run."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        folder.mkdir()
        self._folder, self._servers = folder, servers
        self._ports = [closed_port() for _ in range(3)]

    def start(self, number: int) -> str:
        """Starts one of them; its URL."""
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._ports)
        cluster = f'cluster {{ name: test, listen: "127.0.0.1:{self._ports[number]}", routes: [{routes}] }}'
        listening = Listening(self._folder / str(number), f"server_name: n{number}\n{cluster}\n")
        return f"nats://127.0.0.1:{self._servers.enter_context(listening).port}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as servers:
        yield Cluster(tmp_path / "cluster", servers)


def test_a_start_waits_for_the_leader_of_its_cluster(start_node: StartNode, cluster: Cluster) -> None:
    url = cluster.start(0)
    node = start_node({"orders.yaml": ORDERS}, "--nats", url)
    node.hears("note")
    eventually(lambda: waits_or_ended(node), "a note that it waits")
    node.assert_alive()
    cluster.start(1)
    cluster.start(2)
    node.still_works("/orders", "orders.ndjson")


def waits_or_ended(node: Node) -> bool:
    waits = [one for one in list(node.said) if one.get("kind") == "note" and "leader" in one["text"]]
    return bool(waits) or node.process.poll() is not None
