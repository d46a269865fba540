"""`vrsky tap` as a user runs it, beside a run."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from vrsky_fast.cli.tap import share

from .conftest import Running, Vrsky, Write, clean_environment, command, post

Start = Callable[..., Running]


class Tap:
    """A `vrsky tap` in the background, once a node has answered it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command("tap", *arguments),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        assert first.startswith("watching; revision "), first

    def lines(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        return (json.loads(line) for line in self.process.stdout)

    def end(self) -> tuple[str, str]:
        """What it has written beside what was read, once it has ended by itself or by Ctrl-C."""
        out, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return out, errors


def test_messages_are_shown_as_they_came_and_after_each_step(start: Start, minimal: Path, tmp_path: Path) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    tap = Tap(tmp_path, "acme/orders", "--json", "--limit", "8")
    for body in (b"<order><total>150</total></order>", b"<order><id>1</id></order>"):
        assert post(url, body, Authorization="Bearer hunter2")[0] == 202
    seen = list(tap.lines())
    assert [(one["kind"], one["step"], one.get("verdict", one.get("code", ""))[:28]) for one in seen] == [
        ("in", "in", ""),
        ("step", "0:convert", "pass"),
        ("step", "1:filter", "pass"),
        ("step", "out", "to default"),
        ("in", "in", ""),
        ("step", "0:convert", "pass"),
        ("step", "1:filter", "failed: filter/missing-field"),
        ("dead", "1:filter", "filter/missing-field"),
    ]
    assert seen[0]["payload"] == "<order><total>150</total></order>"
    assert json.loads(seen[3]["payload"]) == {"order": {"total": 150}}
    assert "hunter2" not in json.dumps(seen)
    _, errors = tap.end()
    assert "hunter2" not in errors
    assert run.stop() == 0


_SAYS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - script: {code: "export default (msg) => { console.warn('order', msg); return msg }"}
out: {file: {path: orders.ndjson}}
"""


def test_what_a_script_says_is_shown_before_its_result(start: Start, write: Write, tmp_path: Path) -> None:
    run = start(write("says.yaml", _SAYS))
    url = run.ready() + "/in/acme/orders"
    tap = Tap(tmp_path, "acme/orders", "--json", "--limit", "4")
    assert post(url, b'{"n":1}', "application/json")[0] == 202
    seen = [(one["step"], one.get("verdict", ""), one["payload"]) for one in tap.lines()]
    assert seen == [
        ("in", "", '{"n":1}'),
        ("0:script", "console.warn (script 0:1)", "order {n: 1}"),
        ("0:script", "pass", '{"n":1}'),
        ("out", "to default", '{"n":1}'),
    ]
    tap.end()
    assert run.stop() == 0


def test_only_failures_are_shown_until_ctrl_c(start: Start, minimal: Path, tmp_path: Path) -> None:
    run = start(minimal)
    url = run.ready() + "/in/acme/orders"
    tap = Tap(tmp_path, "acme/orders", "--failed")
    for body in (b"<order><total>150</total></order>", b"<order><id>\x1b</id>"):
        assert post(url, body)[0] == 202
    run.kind("dead")
    assert tap.process.stdout is not None
    lines = [tap.process.stdout.readline() for _ in range(2)]
    assert "0:convert  dead letter: xml/" in lines[0]
    assert lines[1] == "    <order><id>\\x1b</id>\n"
    tap.process.send_signal(signal.SIGINT)
    assert tap.end()[0] == ""
    assert run.stop() == 0


def test_a_pipeline_that_nobody_runs_is_said(start: Start, minimal: Path, vrsky: Vrsky) -> None:
    start(minimal).ready()
    for arguments in ((), ("--json",)):
        done = vrsky("tap", "acme/nothing", *arguments)
        assert done.returncode == 3
        assert "no node that runs acme/nothing answers" in done.stdout + done.stderr
    done = vrsky("tap", "acme")
    assert (done.returncode, done.stdout) == (2, "")
    assert "config/invalid-name: '' is no name of a pipeline" in done.stderr
    assert vrsky("tap", "acme/orders", "--failed", "--step", "in").returncode == 2


@pytest.mark.parametrize(("text", "shares"), [("100%", 10_000), ("1%", 100), ("0.05%", 5), ("12.5%", 1_250)])
def test_a_share_is_a_percentage(text: str, shares: int) -> None:
    assert share(text) == shares


@pytest.mark.parametrize("text", ["", "1", "0%", "101%", "-1%", "0.001%", "1 %", "nan%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        share(text)
