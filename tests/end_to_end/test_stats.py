"""What a run says of its counters: what has changed by itself, all of it when it is asked."""

from __future__ import annotations

import signal
from typing import Any

from .conftest import StartNode
from .node import Node, a_number, eventually

PIPELINE = """\
customer: acme
pipeline: {name}
in: {{http: {{path: /{name}, content_types: [json]}}}}
out: {{file: {{path: {name}.ndjson}}}}
"""


def lines(node: Node) -> list[dict[str, Any]]:
    return [one for one in list(node.said) if one["kind"] == "stats"]


def names(line: dict[str, Any]) -> set[str]:
    return {one["pipeline"] for one in line["pipelines"]}


def is_up(node: Node, pipeline: str) -> bool:
    said = node.counters(pipeline)
    return [said.get("in", {}).get("state"), *(out["state"] for out in said.get("outs", {}).values())] == ["up", "up"]


def test_a_line_of_stats_has_what_changed_and_sigusr1_asks_for_all(start_node: StartNode) -> None:
    node = start_node({f"{name}.yaml": PIPELINE.format(name=name) for name in ("busy", "idle")})
    eventually(lambda: is_up(node, "busy") and is_up(node, "idle"), "both pipelines, up")
    assert names(lines(node)[0]) == {"busy", "idle"}
    before = len(lines(node))

    number = a_number()
    node.accepts("/busy", b'{"n": %d}' % number)
    eventually(lambda: node.counters("busy")["delivered"] == 1, "the message, counted")
    assert all(names(line) == {"busy"} for line in lines(node)[before:])

    node.process.send_signal(signal.SIGUSR1)
    line = node.hears("stats", all=True)
    counted = {one["pipeline"]: one["received"] for one in line["pipelines"]}
    assert (counted, line["removed"]) == ({"busy": 1, "idle": 0}, [])


def test_the_last_changes_are_said_before_the_end_and_those_of_a_removed_pipeline_stay(start_node: StartNode) -> None:
    node = start_node({f"{name}.yaml": PIPELINE.format(name=name) for name in ("busy", "gone")})
    node.accepts("/gone", b'{"n": 1}')
    eventually(lambda: node.counters("gone").get("delivered") == 1, "the message, counted")
    (node.folder / "pipelines" / "gone.yaml").unlink()
    node.hears("stats", removed=[{"customer": "acme", "pipeline": "gone"}])

    number = a_number()
    node.accepts("/busy", b'{"n": %d}' % number)
    node.delivers_once("busy.ndjson", {number})
    assert node.hears("stopped")
    assert node.counters("busy")["delivered"] == 1
    assert node.counters("gone")["delivered"] == 1
