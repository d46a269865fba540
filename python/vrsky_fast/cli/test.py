"""`vrsky test`: run the tests of pipeline files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .. import Message, Result, config
from ..config import files
from . import compare, exit_codes, variables
from .terminal import Terminal, safe

_HELP = """Run the `tests:` of the pipeline files of PATHS, files or folders. Nothing is sent anywhere.

\b
Examples:
  vrsky test orders.yaml
  vrsky test pipelines/ --only 'Swiss'
"""

_MAX_INPUT = 16 * 1024 * 1024


@dataclass
class Outcome:
    """One test's result; `lines` says what is different, for people."""

    file: str
    name: str
    lines: list[str] = field(default_factory=list)
    details: list[dict[str, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.lines

    def fail(self, line: str, **detail: str) -> None:
        self.lines.append(line)
        self.details.append(detail or {"reason": line})


@click.command(name="test", help=_HELP)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--only", metavar="TEXT", help="Run the tests whose name contains TEXT.")
@variables.option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(paths: tuple[Path, ...], only: str | None, given: dict[str, str], as_json: bool) -> int:
    started = time.monotonic()
    loaded = [one for path in paths for one in config.load_all(path, given)]
    if only is not None:
        _check_only(only, [test["name"] for one in loaded for test in _tests(one)])
    outcomes = [outcome for one in loaded for outcome in run_tests(one, only or "")]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        click.echo(json.dumps(_report(outcomes)))
    else:
        terminal = Terminal(sys.stdout)
        for outcome in outcomes:
            show_outcome(terminal, outcome)
        terminal.line(
            f"{len(outcomes) - len(failed)} passed, {len(failed)} failed in {time.monotonic() - started:.2f} s"
        )
    return exit_codes.FINDINGS if failed else exit_codes.OK


def _check_only(only: str, names: list[str]) -> None:
    """A name that is misspelt would pass by running nothing."""
    if any(only in name for name in names):
        return
    there_are = "\n  ".join(["; there are:", *(safe(name) for name in names)]) if names else "; there are no tests"
    raise click.UsageError(f"no test has {safe(only)!r} in its name{there_are}")


def _tests(file: config.PipelineFile) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = file.model.get("tests", [])
    return tests


def run_tests(file: config.PipelineFile, only: str = "") -> Iterator[Outcome]:
    """Runs every test of one file, in order."""
    tests = [test for test in _tests(file) if only in test["name"]]
    if not tests:
        return
    pipeline = file.compiled
    for test in tests:
        outcome = Outcome(str(file.path), test["name"])
        try:
            message = _message(file, test["in"])
        except files.Refused as refused:
            outcome.fail(f"{refused.code}: {refused.reason}")
        else:
            _judge(test, pipeline.process([message])[0], outcome)
        yield outcome


def _message(file: config.PipelineFile, source: dict[str, Any]) -> Message:
    headers = dict(source.get("headers", {}))
    if "file" in source:
        payload = files.read_bytes(file.path.parent, source["file"], _MAX_INPUT)
    elif "text" in source:
        payload = source["text"].encode()
    else:
        payload = json.dumps(source["json"]).encode()
    return Message(payload, headers or None, "test")


def _judge(test: dict[str, Any], result: Result, outcome: Outcome) -> None:
    if test.get("error"):
        if result.code != test["error"]:
            outcome.fail(f"expected the error {test['error']}, got {_said(result)}")
    elif result.code is not None:
        outcome.fail(f"expected {_wanted(test)}, got {_said(result)}")
    elif test.get("dropped"):
        if result.outputs:
            outcome.fail(f"expected it to be dropped, got {_said(result)}")
    else:
        _judge_outs(test["out"], result, outcome)


def _judge_outs(wanted: dict[str, Any], result: Result, outcome: Outcome) -> None:
    got: dict[str, list[bytes]] = {}
    for output in result.outputs:
        got.setdefault(output.out, []).append(output.payload)
    for out in [*wanted, *(name for name in got if name not in wanted)]:
        expected = wanted.get(out, [])
        expected = expected if isinstance(expected, list) else [expected]
        actual = got.get(out, [])
        if len(expected) != len(actual):
            outcome.fail(f"out {out}: expected {_messages(len(expected))}, got {_messages(len(actual))}")
            continue
        for index, (one, payload) in enumerate(zip(expected, actual, strict=True)):
            where = out if len(expected) == 1 else f"{out}, message {index + 1}"
            _judge_payload(one, payload, where, outcome)


def _judge_payload(expected: dict[str, Any], payload: bytes, where: str, outcome: Outcome) -> None:
    if "text" in expected:
        text = payload.decode(errors="replace")
        found = [compare.Difference("", expected["text"], text)] if text != expected["text"] else []
    else:
        kind = "json" if "json" in expected else "json_contains"
        try:
            actual = compare.parse(payload)
        except ValueError:
            outcome.fail(f"out {where}: expected JSON, got {safe(payload[:200].decode(errors='replace'))}")
            return
        wanted = compare.parse(json.dumps(expected[kind]))
        found = list(compare.differences(wanted, actual, subset=kind == "json_contains"))
    for one in found:
        wanted, got = one.shown()
        lines = (
            f"out {where}: {one.path or 'the payload'}",
            f"  expected {wanted}",
            f"  got      {got}",
        )
        outcome.fail("\n".join(lines), out=where, **one.as_json())


def _said(result: Result) -> str:
    if result.code is not None:
        place = f" ({result.place})" if result.place else ""
        return f"the error {result.code}: {result.reason}{place}"
    if not result.outputs:
        return "it was dropped" + (f" by {result.place}" if result.place else "")
    return f"{_messages(len(result.outputs))} for " + ", ".join(sorted({output.out for output in result.outputs}))


def _wanted(test: dict[str, Any]) -> str:
    return "it to be dropped" if test.get("dropped") else "messages for " + ", ".join(test["out"])


def _messages(count: int) -> str:
    return "no message" if count == 0 else "1 message" if count == 1 else f"{count} messages"


def show_outcome(terminal: Terminal, outcome: Outcome) -> None:
    word = terminal.good("pass") if outcome.passed else terminal.bad("FAIL")
    terminal.line(f"{word}  {safe(outcome.file)}  {safe(outcome.name)}")
    for line in "\n".join(outcome.lines).splitlines():
        terminal.line(f"      {safe(line)}")


def _report(outcomes: list[Outcome]) -> dict[str, Any]:
    failed = sum(not outcome.passed for outcome in outcomes)
    return {
        "ok": failed == 0,
        "passed": len(outcomes) - failed,
        "failed": failed,
        "tests": [
            {"file": one.file, "name": one.name, "passed": one.passed, "differences": one.details} for one in outcomes
        ],
    }
