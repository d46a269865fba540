"""How many messages one may become: on a node, in `vrsky test` and in `Pipeline.process` alike."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from vrsky_fast import Message, Pipeline

from .conftest import StartNode, write_pipelines
from .faults import right_value
from .node import a_number, eventually

# 400 parts, one of which becomes three: 402 of the 1,000 that are allowed.
TWICE = """\
customer: acme
pipeline: twice
in: {http: {path: /twice, content_types: [json]}}
steps:
  - script: {language: js, code: "export default (msg) => Array.from({length: 400}, (_, n) => ({of: msg.n, n}))"}
  - script: {language: js, code: "export default (msg) => msg.n === 7 ? [msg, msg, msg] : msg"}
out: {file: {path: twice.ndjson}}
"""
ALL = Counter(range(400)) + Counter({7: 2})


def test_a_split_of_parts_is_bounded_by_what_it_comes_to_in_all(start_node: StartNode, tmp_path: Path) -> None:
    write_pipelines(tmp_path, {"twice.yaml": TWICE})
    number = a_number()
    body = json.dumps({"n": number}).encode()
    (processed,) = Pipeline.load(tmp_path / "pipelines" / "twice.yaml").process([Message(body)])
    assert Counter(json.loads(one.payload)["n"] for one in processed.outputs) == ALL

    node = start_node({"twice.yaml": TWICE})
    message = node.accepts("/twice", body)

    def done() -> bool:
        node.assert_alive()
        return len(node.lines("twice.ndjson")) >= 402 or bool(dead())

    def dead() -> list[str]:
        return [one["code"] for one in list(node.said) if one["kind"] == "dead" and one["id"] == message]

    eventually(done, "402 lines, or a dead letter")
    with right_value():
        assert dead() == []
        assert Counter(line["n"] for line in node.lines("twice.ndjson")) == ALL
