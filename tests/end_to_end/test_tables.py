"""Lookup tables and snippets of a running node: a change of one takes effect, a fault in one costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import StartNode
from .load import under_load
from .node import Node, a_number, eventually

ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders, content_types: [json]}}
tables: {versions: {file: versions.csv, key: of, numbers: [is]}}
steps:
  - include: steps.snippet.yaml
  - script: {language: js, code: "export default (msg, ctx) => ({...msg, w: ctx.lookup('versions', 'orders').is})"}
out: {file: {path: orders.ndjson}}
limits: {backlog: 10000}
"""
SNIPPET = "- set: {v: 'lookup(\"versions\", \"orders\").is', s: '%d'}\n"


def table(version: int) -> str:
    return f"of,is\norders,{version}\n"


def line_now(node: Node) -> dict[str, Any]:
    """What becomes of a message that is sent now."""
    number = a_number()
    node.accepts("/orders", b'{"n": %d}' % number)
    node.delivers_all("orders.ndjson", {number})
    return next(line for line in node.lines("orders.ndjson") if line["n"] == number)


def test_a_table_and_a_snippet_that_change_take_effect_while_messages_flow(
    start_node: StartNode, tmp_path: Path
) -> None:
    node = start_node({"orders.yaml": ORDERS, "versions.csv": table(0), "steps.snippet.yaml": SNIPPET % 0})
    files = tmp_path / "pipelines"
    with under_load(node.url("/orders"), clients=2) as load:
        load.wait_for(20)
        (files / "versions.csv").write_text(table(1))
        eventually(lambda: line_now(node)["v"] == 1, "the new table")
        (files / "steps.snippet.yaml").write_text(SNIPPET % 1)
        eventually(lambda: line_now(node)["s"] == 1, "the new snippet")
        accepted = load.stop()
    assert not load.refused
    node.delivers_all("orders.ndjson", accepted)
    assert [line for line in node.lines("orders.ndjson") if line["v"] != line["w"]] == [], "one table for all steps"


def test_a_fault_in_a_table_or_a_snippet_leaves_what_runs(start_node: StartNode, tmp_path: Path) -> None:
    node = start_node({"orders.yaml": ORDERS, "versions.csv": table(0), "steps.snippet.yaml": SNIPPET % 0})
    files = tmp_path / "pipelines"
    node.hears("ready")
    for name, text, code, place in [
        ("versions.csv", 'of,is\n"orders,1\n', "config/invalid-table", (2, 1)),
        ("steps.snippet.yaml", "- set: {a: '1'}\n- fliter: 'true'\n", "config/unknown-key", (2, 3)),
    ]:
        before = (files / name).read_text()
        (files / name).write_text(text)

        def is_said(name: str = name, code: str = code, place: tuple[int, int] = place) -> bool:
            problems = [one for said in list(node.said) for one in said.get("problems", [])]
            found = [one for one in problems if one["code"] == code and one["file"].endswith(name)]
            return any((one["line"], one["column"]) == place for one in found)

        eventually(is_said, f"the fault in {name}")
        assert line_now(node)["v"] == 0
        (files / name).write_text(before)
    (files / "versions.csv").write_text(table(2))
    eventually(lambda: line_now(node)["v"] == 2, "the mended files")
