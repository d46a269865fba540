"""Files that a customer writes to hurt: each is left out by name, and the others' messages flow."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from .conftest import StartNode
from .node import Node, eventually

GOOD = """\
customer: acme
pipeline: good
in: {http: {path: /good, content_types: [json]}}
out: {file: {path: good.ndjson}}
"""
EVIL = GOOD.replace("good", "evil").replace("out:", "steps:\n  - script: {script}\nout:")

NAMES = [r'"a\0b.ts"', r'"\0"', "n" * 3000, "d/" * 3000 + "s.ts", "../../../etc/passwd", "/dev/zero", "pipe.ts"]


def evil_files() -> dict[str, str]:
    return {f"evil{number}.yaml": EVIL.replace("{script}", name) for number, name in enumerate(NAMES)}


def not_served(node: Node) -> dict[str, str]:
    """By file name: the code of its first problem."""
    lines = [said for said in list(node.said) if said["kind"] == "not-served"]
    return {Path(one["file"]).name: one["problems"][0]["code"] for one in lines}


def hostile(folder: Path) -> dict[str, str]:
    """Writes what no dictionary of texts can say; what is said of all of them."""
    folder.mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe.ts")
    os.mkfifo(folder / "pipe.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / os.fsdecode(b"\xff.yaml")).write_text("more: 1\n")
    (folder / "bytes.yaml").write_bytes(bytes(range(256)))
    (folder / "deep.yaml").write_text("[" * 100_000)
    return {
        **{f"evil{number}.yaml": "config/file-outside" for number in (0, 1, 4, 5)},
        **{f"evil{number}.yaml": "config/file-not-found" for number in (2, 3, 6)},
        **{f"{name}.yaml": "config/file-not-found" for name in ("pipe", "zero", "loop")},
        os.fsdecode(b"\xff.yaml"): "config/unknown-key",
        "bytes.yaml": "config/invalid-yaml",
        "deep.yaml": "config/too-deep",
    }


@pytest.mark.parametrize("before", [True, False])
def test_no_file_ends_the_run_nor_keeps_it_from_starting(start_node: StartNode, tmp_path: Path, before: bool) -> None:
    wanted: dict[str, str] = {}
    if before:
        wanted = hostile(tmp_path / "pipelines")
    node = start_node({"good.yaml": GOOD} | (evil_files() if before else {}))
    node.hears("ready")
    if not before:
        wanted = hostile(tmp_path / "pipelines")
        for name, text in evil_files().items():
            (tmp_path / "pipelines" / name).write_text(text)
    eventually(lambda: not_served(node) == wanted, json.dumps(wanted))
    node.still_works("/good", "good.ndjson")
    node.process.send_signal(signal.SIGHUP)
    (tmp_path / "pipelines" / "good.yaml").write_text(GOOD.replace("/good", "/better"))
    node.hears("installed", pipeline="good")
    node.still_works("/better", "good.ndjson")
    assert node.stop() == 0
    assert [said["kind"] for said in node.said].count("not-served") == len(wanted)  # each once


def test_a_single_file_that_becomes_a_pipe_holds_up_no_reload_and_no_stop(
    start_node: StartNode, tmp_path: Path
) -> None:
    (tmp_path / "pipelines").write_text(GOOD)
    node = start_node({})
    node.still_works("/good", "good.ndjson")
    (tmp_path / "pipelines").unlink()
    os.mkfifo(tmp_path / "pipelines")
    node.process.send_signal(signal.SIGHUP)
    eventually(lambda: not_served(node) == {"pipelines": "config/file-not-found"}, "what it has become")
    node.still_works("/good", "good.ndjson")
    (tmp_path / "pipelines").unlink()
    (tmp_path / "pipelines").write_text(GOOD.replace("/good", "/better"))
    node.hears("installed", pipeline="good")
    node.still_works("/better", "good.ndjson")
    assert node.stop() == 0
