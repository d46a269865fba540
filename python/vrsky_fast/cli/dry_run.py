"""`vrsky dry-run`: show a message after every step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

from .. import Message, Result, config
from . import compare, exit_codes, variables
from .terminal import Terminal, safe

_HELP = """Run messages through the steps of PIPELINE and show each after every step. Nothing is sent anywhere.

PIPELINE is a pipeline file, or a folder that holds one. INPUT is a file with one message, or - for standard
input, which is also the default.

\b
Examples:
  vrsky dry-run orders.yaml order.xml
  curl -s https://example.org/order.xml | vrsky dry-run orders.yaml
  vrsky dry-run orders.yaml --ndjson orders.ndjson --json
"""

_MAX_INPUT = 64 * 1024 * 1024
_MAX_LINES = 200
_MAX_COLUMNS = 500

Snapshot = tuple[str, bytes, str]


@click.command(name="dry-run", help=_HELP)
@click.argument("pipeline", type=click.Path(path_type=Path))
@click.argument("source", metavar="[INPUT]", type=click.File("rb"), default="-")
@click.option("--ndjson", is_flag=True, help="Every line of INPUT is a message.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="A header of the message; may be repeated.",
)
@variables.option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message on standard output.")
def command(
    pipeline: Path,
    source: BinaryIO,
    ndjson: bool,
    headers: tuple[str, ...],
    given: dict[str, str],
    as_json: bool,
) -> int:
    file = _only_one(pipeline, given)
    compiled = file.compiled
    terminal = Terminal(sys.stdout)
    failed = 0
    for number, payload in enumerate(_payloads(source, ndjson), 1):
        message = Message(payload, _headers(headers), f"dry-run-{number}")
        steps = compiled.dry_run(message)
        # Once more, for what the outs would get; a message that cannot be read has no steps at all.
        result = compiled.process([message])[0]
        failed += result.code is not None
        if as_json:
            click.echo(json.dumps(_as_json(number, steps, result)))
        else:
            _show(terminal, f"message {number}" if ndjson else "in", payload, steps, result)
    return exit_codes.FINDINGS if failed else exit_codes.OK


def _only_one(path: Path, given: dict[str, str]) -> config.PipelineFile:
    found = config.load_all(path, given)
    if len(found) > 1:
        names = "\n  ".join(safe(f"{one.path}  {one.customer}/{one.pipeline}") for one in found)
        raise click.UsageError(f"{safe(path)} holds {len(found)} pipelines; name one of the files:\n  {names}")
    return found[0]


def _payloads(source: BinaryIO, ndjson: bool) -> Iterator[bytes]:
    if not ndjson:
        data = source.read(_MAX_INPUT + 1)
        if len(data) > _MAX_INPUT:
            raise click.UsageError(f"INPUT has more than {_MAX_INPUT:,} bytes")
        yield data
        return
    for line in iter(lambda: source.readline(_MAX_INPUT), b""):
        if line.strip():
            yield line.rstrip(b"\r\n")


def _headers(given: tuple[str, ...]) -> dict[str, str] | None:
    headers = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{text!r}: write NAME:VALUE", param_hint="--header")
        headers[name.strip()] = value.strip()
    return headers or None


def _show(terminal: Terminal, title: str, payload: bytes, steps: list[Snapshot], result: Result) -> None:
    terminal.line(f"{terminal.strong(title)}  {len(payload)} B")
    _payload(terminal, payload)
    before = payload
    for label, after, verdict in steps:
        paint = (
            terminal.bad if verdict.startswith("failed") else terminal.warning if verdict == "drop" else terminal.good
        )
        terminal.line(f"{terminal.strong(safe(label))}  {paint(safe(verdict))}")
        if after != before:
            _payload(terminal, after)
        before = after
    if result.code is not None:
        where = f" ({safe(result.place)})" if result.place else ""
        terminal.line(f"{terminal.bad('failed')}  {safe(result.code)}: {safe(result.reason)}{where}")
    for output in result.outputs:
        terminal.line(f"{terminal.strong('to ' + safe(output.out))}  {len(output.payload)} B")
    if result.code is None and not result.outputs:
        terminal.line(terminal.warning("dropped"))


def _payload(terminal: Terminal, payload: bytes) -> None:
    """Indented, JSON laid out; at most what a screen or two can hold."""
    text = payload.decode(errors="replace")
    with suppress(ValueError, RecursionError):
        text = compare.laid_out(compare.parse(text), indent=2)
    lines = text.splitlines()
    for line in lines[:_MAX_LINES]:
        terminal.line("    " + safe(line[:_MAX_COLUMNS]))
    if len(lines) > _MAX_LINES:
        terminal.line(terminal.quiet(f"    ... and {len(lines) - _MAX_LINES} more lines"))


def _as_json(number: int, steps: list[Snapshot], result: Result) -> dict[str, Any]:
    return {
        "message": number,
        "status": result.status,
        "code": result.code,
        "reason": result.reason,
        "place": None if result.place is None else str(result.place),
        "steps": [
            {"step": label, "payload": after.decode(errors="replace"), "verdict": verdict}
            for label, after, verdict in steps
        ],
        "outputs": [
            {"out": output.out, "payload": output.payload.decode(errors="replace")} for output in result.outputs
        ],
    }
