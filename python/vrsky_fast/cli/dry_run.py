"""`vrsky dry-run`: show a message after every step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from .. import Message, Pipeline, config
from . import exit_codes
from .terminal import Terminal

_HELP = """Run messages through the steps of PIPELINE and show each after every step. Nothing is sent anywhere.

INPUT is a file with one message, or - for standard input, which is also the default.

\b
Examples:
  vrsky dry-run orders.yaml order.xml
  curl -s https://example.org/order.xml | vrsky dry-run orders.yaml
  vrsky dry-run orders.yaml --ndjson orders.ndjson --json
"""

_MAX_INPUT = 64 * 1024 * 1024


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message on standard output.")
def command(pipeline: Path, source: BinaryIO, ndjson: bool, headers: tuple[str, ...], as_json: bool) -> int:
    file = config.load(pipeline)
    compiled = Pipeline.from_json(file.json, file.scripts)
    terminal = Terminal(sys.stdout)
    failed = 0
    for number, payload in enumerate(_payloads(source, ndjson), 1):
        steps = list(compiled.dry_run(Message(payload, _headers(headers), f"dry-run-{number}")))
        failed += any(verdict_failed(step) for step in steps)
        if as_json:
            click.echo(json.dumps({"message": number, "steps": [_as_json(step) for step in steps]}))
        else:
            _show(terminal, f"message {number}" if ndjson else "in", payload, steps)
    return exit_codes.FINDINGS if failed else exit_codes.OK


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


def verdict_failed(step: Any) -> bool:
    raise NotImplementedError


def _show(terminal: Terminal, title: str, payload: bytes, steps: list[Any]) -> None:
    raise NotImplementedError


def _as_json(step: Any) -> dict[str, Any]:
    raise NotImplementedError
