"""`vrsky dlq summary`: how many dead letters there are, by what they have in common."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path

import click

from ..control import dead_letters
from ..control.letter_groups import COMMON, Group, grouped
from . import choice, exit_codes, nats, server_of
from .server_of import client_of
from .terminal import Terminal, moment, safe

_HELP = """How many dead letters there are, by customer, pipeline, step, code or the hour in which they died.

\b
Examples:
  vrsky dlq summary
  vrsky dlq summary --by code --newer-than 1d
  vrsky dlq summary --by hour --by code --customer acme --json
"""

_USUAL = ("customer", "pipeline", "code")


@click.command(name="summary", help=_HELP)
@click.option(
    "--by",
    "keys",
    multiple=True,
    type=click.Choice(list(COMMON)),
    help="What those that are counted together have in common; may be repeated. Without it: customer, pipeline, code.",
)
@choice.options
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many lines.")
@server_of.options
def command(
    keys: tuple[str, ...],
    wanted: dead_letters.Wanted,
    limit: int,
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    names = [key for key in COMMON if key in (keys or _USUAL)]

    async def count() -> list[Group]:
        async with client_of(server, data) as client, aclosing(dead_letters.oldest_first(client, wanted)) as letters:
            return await grouped(letters, names)

    groups = asyncio.run(count())
    # Of hours, the latest are of interest.
    shown = groups[-limit:] if "hour" in names else groups[:limit]
    terminal = Terminal(sys.stdout)
    for one in shown:
        terminal.line(json.dumps(_as_json(one, names)) if as_json else _line(terminal, one))
    if not as_json:
        told = Terminal(sys.stderr)
        if not groups:
            told.line("no dead letters")
        if left := len(groups) - len(shown):
            told.line(f"{left:,} more; --limit shows them")
    return exit_codes.OK


def _as_json(one: Group, names: list[str]) -> dict[str, object]:
    values = dict(zip(names, one.values, strict=True))
    died = {"first_died_ms": one.first_died_ms, "last_died_ms": one.last_died_ms}
    return {**values, "count": one.count, **died, "newest": one.newest}


def _line(terminal: Terminal, one: Group) -> str:
    died = f"died {moment(one.first_died_ms)} to {moment(one.last_died_ms)}"
    values = "  ".join(safe(value) or "-" for value in one.values)
    return f"{one.count:>8,}  {values}  {terminal.quiet(died)}  {terminal.quiet(f'such as {one.newest}')}"
