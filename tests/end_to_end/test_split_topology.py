"""Each run of steps by a node type of its own: the same results as in one go, and nothing lost when one is killed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from vrsky_fast.control.server import Server

from ..conftest import Background, clean_environment, command, post
from .conftest import StartNode
from .load import under_load
from .node import Node, eventually
from .streams import held, subjects
from .test_metrics import base, scrape

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json, xml]}}
steps:
  - filter: n >= 0
  - script: {code: "export default (msg) => [0, 1, 2].map(part => ({...msg, part, seen: true}))"}
  - filter: part != 1
  - set: {twice: n * 2}
  - route:
      - {when: part == 2, to: [audit, orders]}
      - {to: orders}
out:
  orders: {file: {path: orders.ndjson}}
  audit: {file: {path: audit.ndjson}}
limits: {backlog: 10000}
"""
# One message of each: through, dropped at the first step, dead at the script, dead before any step.
BODIES = [b'{"n": 1, "text": "\\u00e9 x"}', b'{"n": -1}', b'{"n": 2, "part"', b'{"other": 1}']
SPLIT = ("--topology", "split")


def url(server: Server) -> str:
    endpoint = server.endpoint
    return endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")


def start_types(
    start_node: StartNode, server: Server, folder: Path, files: dict[str, str], *more: str
) -> dict[str, Node]:
    """A process for each node type."""
    types = ("incoming", "converter", "filter", "outgoing")
    at = ("--nats", url(server), *SPLIT, *more)
    return {one: start_node(files, *at, "--type", one, data=folder / one) for one in types}


def written(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def test_processes_of_every_type_make_of_each_message_what_one_process_makes_of_it(
    start_node: StartNode, server: Server, tmp_path: Path
) -> None:
    files = {"orders.yaml": ORDERS}
    fused = start_node(files, data=tmp_path / "fused")
    for body in BODIES:
        assert post(fused.url("/orders"), body, "application/json")[0] == 202
    wanted = {"orders.ndjson": 2, "audit.ndjson": 1}
    folder = fused.data / "files" / "acme"
    for name, count in wanted.items():
        eventually(lambda at=folder / name, count=count: len(written(at)) == count, name)
    letters = [(one["step"], one["code"]) for one in dead(fused, 2)]
    assert fused.stop() == 0
    nodes = start_types(start_node, server, tmp_path, files)
    for node in nodes.values():
        node.hears("ready")
    for body in BODIES:
        assert post(nodes["incoming"].url("/orders"), body, "application/json")[0] == 202
    there = tmp_path / "outgoing" / "files" / "acme"
    for name, count in wanted.items():
        eventually(lambda at=there / name, count=count: len(written(at)) == count, name)
        assert written(there / name) == written(folder / name)
    # A message that cannot be read dies where it is read first; both are read by the first filter.
    assert [(one["step"], one["code"]) for one in dead(nodes["filter"], 2)] == letters
    assert all(node.stop() == 0 for node in nodes.values())


def dead(node: Node, count: int) -> list[dict[str, str]]:
    """The dead letters that it has told of, in a stable order."""

    def told() -> list[dict[str, str]]:
        return [one for one in node.said if one["kind"] == "dead"]

    eventually(lambda: len(told()) >= count, f"{count} dead letters")
    return sorted(told(), key=lambda one: (one["step"], one["code"]))


def test_kill_9_of_a_node_of_any_run_under_load_loses_nothing(
    start_node: StartNode, server: Server, tmp_path: Path
) -> None:
    files = {"orders.yaml": ORDERS}
    nodes = start_types(start_node, server, tmp_path, files)
    for node in nodes.values():
        node.hears("ready")
    accepted: set[int] = set()
    with under_load(nodes["incoming"].url("/orders")) as load:
        for killed, count in (("converter", 100), ("filter", 200), ("converter", 300)):
            load.wait_for(count)
            nodes[killed].kill()
            nodes[killed] = start_node(
                files, "--nats", url(server), *SPLIT, "--type", killed, data=tmp_path / f"{killed}-{count}"
            )
        accepted = load.stop()
    path = tmp_path / "outgoing" / "files" / "acme" / "orders.ndjson"

    def parts() -> dict[int, set[int]]:
        found: dict[int, set[int]] = {}
        for line in written(path):
            one = json.loads(line)
            assert (one["seen"], one["twice"]) == (True, 2 * one["n"])
            found.setdefault(one["n"], set()).add(one["part"])
        return found

    eventually(lambda: accepted <= parts().keys(), "every accepted order is delivered")
    eventually(lambda: all(parts()[number] == {0, 2} for number in accepted), "all parts of every order")
    assert all(node.stop() == 0 for node in nodes.values())


@pytest.mark.parametrize("before", ["split", "fused"])
def test_what_one_topology_has_left_in_its_lanes_the_other_one_takes(
    start_node: StartNode, server: Server, background: Background, tmp_path: Path, before: str
) -> None:
    files = {"orders.yaml": ORDERS}
    after = "fused" if before == "split" else "split"
    at = ("--nats", url(server), "--topology")
    source = start_node(files, *at, before, "--type", "incoming", data=tmp_path / "before")
    for number in range(20):
        body = json.dumps({"n": number}).encode()
        assert post(source.url("/orders"), body, "application/json")[0] == 202
    assert source.stop() == 0
    lane = "VRSKY_FILTER_T10000_0" if before == "split" else "VRSKY_LOGIC_T10000_0"
    assert background(held(server.endpoint, lane)) == 20
    node = start_node(files, *at, after, data=tmp_path / "after")
    path = tmp_path / "after" / "files" / "acme" / "orders.ndjson"
    eventually(lambda: len(written(path)) == 40, "what was left behind is delivered")
    assert sorted({json.loads(line)["n"] for line in written(path)}) == list(range(20))
    assert background(subjects(server.endpoint, lane)) == {}
    assert node.stop() == 0


@contextmanager
def tapped(server: Server, pipeline: str, node: Node, path: str) -> Iterator[None]:
    """While somebody watches the pipeline, whose messages come to this path."""
    arguments = command("tap", pipeline, "--json", "--nats", url(server))
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=clean_environment()) as tap:
        said: list[str] = []
        assert tap.stdout is not None
        lines = tap.stdout
        reader = Thread(target=lambda: [said.append(line) for line in lines], daemon=True)
        reader.start()
        try:
            # It sees what comes after its request has reached the nodes.
            eventually(lambda: post(node.url(path), b'{"n": 1}', "application/json")[0] == 202 and said, "it sees one")
            yield
        finally:
            tap.kill()
            reader.join()


def test_a_tap_changes_nothing_of_where_steps_run_and_of_what_is_measured(
    start_node: StartNode, server: Server, tmp_path: Path
) -> None:
    files = {"orders.yaml": ORDERS, "other.yaml": ORDERS.replace("orders", "other")}
    nodes = start_types(start_node, server, tmp_path, files, "--metrics", "127.0.0.1:0")
    incoming, rest = nodes["incoming"], {one: base(nodes[one]) for one in ("converter", "filter")}

    def posted(count: int) -> None:
        numbers = range(posted.done, posted.done + count)  # type: ignore[attr-defined]
        posted.done += count  # type: ignore[attr-defined]
        for number in numbers:
            assert post(incoming.url("/orders"), b'{"n": %d}' % number, "application/json")[0] == 202
        nodes["outgoing"].delivers_all("orders.ndjson", set(numbers))

    def samples(of: str, step: str) -> float:
        return scrape(rest[of]).get(f"vrsky_step_seconds_count step={step}", 0)

    posted.done = 1_000  # type: ignore[attr-defined]
    with tapped(server, "acme/orders", incoming, "/orders"):
        posted(100)
    assert samples("filter", "script") == samples("converter", "filter") == 0
    assert samples("converter", "script") >= 100
    before = samples("filter", "filter"), samples("converter", "set")
    with tapped(server, "acme/other", incoming, "/other"):
        posted(200)
    assert samples("filter", "filter") >= before[0] + 2
    assert samples("converter", "set") >= before[1] + 1
    waits = "vrsky_queue_wait_seconds_count type="
    for node_type, other in (("converter", "filter"), ("filter", "converter")):
        found = scrape(rest[node_type])
        assert found[waits + node_type] > 0
        assert found[waits + other] == found[f"{waits}logic"] == 0
