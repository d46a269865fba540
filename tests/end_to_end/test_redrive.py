"""`vrsky dlq redrive` on a node: what failed is delivered after all, once, also when the redrive is killed."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ..conftest import clean_environment, command
from .conftest import StartNode
from .node import PATIENCE, Node, a_number, eventually
from .servers import Server, answer, serving

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STEPS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
steps:
  - filter: FIELD > 0
out: {file: {path: orders.ndjson}}
"""

OUT = """\
customer: acme
pipeline: orders
in: {{http: {{path: /orders, content_types: [json]}}}}
out: {{http: {{url: '{url}/{{n}}'}}}}
"""


def dead(node: Node, count: int) -> list[int]:
    """Accepts so many messages that fail; their numbers, when all are dead letters."""
    numbers = [a_number() for _ in range(count)]
    for number in numbers:
        node.accepts("/orders", json.dumps({"n": number}).encode(), traceparent=TRACE)
    eventually(lambda: len(node.dead_letters()) == count, f"{count} dead letters")
    return numbers


def taken(server: Server) -> Counter[int]:
    return Counter(json.loads(one.body)["n"] for one in list(server.taken))


def test_whole_messages_go_to_the_start_of_the_pipeline_as_it_is_now(start_node: StartNode) -> None:
    node = start_node({"orders.yaml": STEPS.replace("FIELD", "m")})
    numbers = dead(node, 3)
    assert node.stop() == 0
    node = start_node({"orders.yaml": STEPS.replace("FIELD", "n")})
    assert node.base
    plan = node.redrives("--all", "--dry-run")
    assert ([one["to"] for one in plan["planned"]], plan["sent"]) == (["the start"] * 3, 0)
    assert node.lines("orders.ndjson") == []
    assert node.redrives("--code", "filter/missing-field", "--customer", "acme")["sent"] == 3
    node.delivers_once("orders.ndjson", set(numbers))
    assert node.dead_letters() == []


def test_what_an_out_refused_goes_to_that_out_again(start_node: StartNode) -> None:
    with serving(*[answer(404)] * 3) as server:
        node = start_node({"orders.yaml": OUT.format(url=server.url)})
        numbers = dead(node, 3)
        first, *others = [one["sequence"] for one in node.dead_letters()]
        assert node.redrives(first)["sent"] == 1
        eventually(lambda: len(server.taken) == 1, "the first")
        assert node.redrives("--step", "out:default", "--rate", 1000)["sent"] == 2
        eventually(lambda: taken(server) == Counter(numbers), "each of them once")
        assert {one.target for one in server.taken} == {f"/{number}" for number in numbers}
        assert {one.headers["traceparent"][:36] for one in server.taken} == {TRACE[:36]}
        assert len({one.headers["traceparent"] for one in server.taken}) == len(numbers), "each message is its own hop"
        assert node.redrives("--all") == {"sent": 0, "refused": [], "missing": [], "doubtful": [], "left": None}
        assert node.redrives(first, *others, exits=1)["missing"] == [first, *others]
        assert node.stop() == 0


def test_a_sink_sees_the_same_key_again(start_node: StartNode) -> None:
    with serving(answer(404)) as server:
        node = start_node({"orders.yaml": OUT.format(url=server.url)})
        dead(node, 1)
        assert node.redrives("--all")["sent"] == 1
        eventually(lambda: len(server.taken) == 1, "the message")
        assert len({one.headers["idempotency-key"] for one in server.requests}) == 1


SPLIT = """\
customer: acme
pipeline: split
in: {http: {path: /split, content_types: [json]}}
steps:
  - script: {language: js, code: "export default (msg) => msg.parts"}
  - filter: FIELD > 0
out: {file: {path: split.ndjson}}
"""


def dead_part(start_node: StartNode) -> tuple[Node, int]:
    """A node that has stopped, and the number of the letter of the second of three parts."""
    node = start_node({"split.yaml": SPLIT.replace("FIELD", "n")})
    parts = [{"n": 1}, {"m": 2}, {"n": 3}]
    letter = node.dead_letter(node.accepts("/split", json.dumps({"parts": parts}).encode()))
    assert json.loads(letter["payload"]) == {"m": 2}
    node.delivers_all("split.ndjson", {1, 3})
    assert node.stop() == 0
    return node, int(letter["sequence"])


def test_a_part_goes_on_with_the_step_where_it_failed_and_the_others_stay(start_node: StartNode) -> None:
    _, sequence = dead_part(start_node)
    node = start_node({"split.yaml": SPLIT.replace("FIELD", "m")})
    assert node.base
    (planned,) = node.redrives(sequence, "--dry-run")["planned"]
    assert planned["to"] == "step 1:filter"
    assert node.redrives(sequence)["sent"] == 1
    eventually(lambda: {"m": 2} in node.lines("split.ndjson"), "the part")
    assert node.stop() == 0
    assert node.lines("split.ndjson") == [{"n": 1}, {"n": 3}, {"m": 2}]
    assert node.dead_letters() == []


def test_a_part_that_dies_again_has_its_whole_message_still(start_node: StartNode) -> None:
    _, sequence = dead_part(start_node)
    node = start_node({"split.yaml": SPLIT.replace("FIELD", "n")})
    assert node.base
    assert node.redrives(sequence)["sent"] == 1
    (again,) = eventually(node.dead_letters, "another letter")
    whole = node.dlq("show", again["sequence"], "--original", "--payload")
    assert json.loads(whole.stdout) == {"parts": [{"n": 1}, {"m": 2}, {"n": 3}]}
    shown = node.shown(again["sequence"])
    assert (shown["headers"]["Vrsky-Part"], shown["headers"]["Vrsky-Redrive"]) == ("1", "1")


def test_a_part_whose_step_is_gone_is_refused_with_the_way_to_the_whole_message(start_node: StartNode) -> None:
    _, sequence = dead_part(start_node)
    node = start_node({"split.yaml": SPLIT.replace("  - filter: FIELD > 0\n", "")})
    assert node.base
    (refused,) = node.redrives(sequence, exits=1)["refused"]
    assert refused["reason"] == "acme/split has no step `1:filter` any more"
    assert f"`vrsky dlq show {sequence} --original --payload`" in refused["hint"]
    assert [one["sequence"] for one in node.dead_letters()] == [sequence]


def test_a_redrive_that_is_killed_and_resumed_delivers_each_once(start_node: StartNode) -> None:
    """Within the window in which the stream knows the ids; later, those that the second one names may come twice."""
    count = 400
    with serving(*[answer(404)] * count) as server:
        node = start_node({"orders.yaml": OUT.format(url=server.url)})
        numbers = dead(node, count)
        words = command("dlq", "redrive", "--all", "--yes", "--rate", "10000", "--data", node.data)
        killed = subprocess.Popen(words, cwd=node.folder, env=clean_environment())
        eventually(lambda: len(server.taken) > 0 or killed.poll() is not None, "the first of them")
        killed.kill()
        killed.wait(PATIENCE)
        node.redrives("--all", "--rate", 10_000)
        eventually(lambda: set(taken(server)) == set(numbers), "all of them")
        assert node.dead_letters() == []
        assert node.stop() == 0
        assert taken(server) == Counter(numbers)


def test_what_the_pipeline_no_longer_has_is_refused_with_a_hint(start_node: StartNode, tmp_path: Path) -> None:
    with serving(answer(404)) as server:
        node = start_node({"orders.yaml": OUT.format(url=server.url)})
        dead(node, 1)
        assert node.stop() == 0
    other = STEPS.replace("FIELD", "n").replace("out: {file", "out: {erp: {file").replace("ndjson}}", "ndjson}}}")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "orders.yaml").write_text(other)
    (refused,) = node.redrives("--all", "--pipelines", tmp_path / "new", exits=1)["refused"]
    assert refused["reason"] == "acme/orders has no out `default` any more"
    assert refused["hint"] == "Its outs are: erp."
    node = start_node({"orders.yaml": other.replace("pipeline: orders", "pipeline: others")})
    assert node.base
    (refused,) = node.redrives("--all", exits=1)["refused"]
    assert refused["reason"] == "the pipeline acme/orders is not served"
    assert len(node.dead_letters()) == 1


@pytest.mark.parametrize(("key", "said", "left"), [("n", "nothing was sent", 1), ("y", "sent 1 dead letter", 0)])
def test_on_a_terminal_it_is_asked_before_anything_is_sent(
    start_node: StartNode, key: str, said: str, left: int
) -> None:
    node = start_node({"orders.yaml": STEPS.replace("FIELD", "m")})
    dead(node, 1)
    assert node.stop() == 0
    terminal, inside = os.openpty()
    os.write(terminal, f"{key}\n".encode())
    done = subprocess.run(
        command("dlq", "redrive", "--customer", "acme", "--code", "filter", "--data", node.data),
        cwd=node.folder,
        stdin=inside,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    os.close(terminal)
    os.close(inside)
    assert done.returncode == 0
    assert "Send all dead letters of acme with filter again? [y/N]" in done.stderr
    assert said in done.stderr + done.stdout
    assert len(node.dead_letters()) == left
