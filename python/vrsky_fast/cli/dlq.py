"""`vrsky dlq`: list, show, delete and send again dead letters."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from ..control import dead_letters
from ..control.originals import sweep
from ..control.streams import dead_subject
from . import choice, content, exit_codes, export, letter_summary, nats, redrive, server_of
from .choice import SEQUENCE, counted, whose
from .server_of import agrees, client_of
from .terminal import Terminal, moment, safe

_HELP = """Dead letters, messages that failed for good: list them, show one, send them again, delete them.

Without --nats the data folder of `vrsky run` is used; it may be running or not.

\b
Examples:
  vrsky dlq ls
  vrsky dlq ls --customer acme --pipeline orders --limit 10
  vrsky dlq ls --code http --step out:erp --newer-than 1h
  vrsky dlq summary --by code --newer-than 1d
  vrsky dlq show 17
  vrsky dlq show 17 --payload > order.xml
  vrsky dlq export 17 --as-test --into orders.yaml
  vrsky dlq redrive 17 18
  vrsky dlq rm 17 18
  vrsky dlq rm --customer acme --pipeline orders --yes
"""

_LS_HELP = """The newest dead letters, oldest first.

\b
Examples:
  vrsky dlq ls --customer acme --limit 10
  vrsky dlq ls --code http --step out:erp --newer-than 1h --json
"""

_SHOW_HELP = """One dead letter with its headers and payload.

\b
Examples:
  vrsky dlq show 17
  vrsky dlq show 17 --payload > order.xml
"""

_RM_HELP = """Delete dead letters for good: by their numbers, of a customer, or all of them.

\b
Examples:
  vrsky dlq rm 17 18
  vrsky dlq rm --customer acme --pipeline orders --yes
"""


@click.group(name="dlq", help=_HELP)
def command() -> None:
    pass


command.add_command(redrive.command)
command.add_command(letter_summary.command)
command.add_command(export.command)


@command.command(name="ls", help=_LS_HELP)
@choice.options
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@server_of.options
def ls(wanted: dead_letters.Wanted, limit: int, server: nats.Server, data: Path, as_json: bool) -> int:
    async def fetch() -> list[dead_letters.DeadLetter]:
        async with client_of(server, data) as client:
            return await dead_letters.newest(client, limit, wanted)

    letters = asyncio.run(fetch())
    terminal = Terminal(sys.stdout)
    for letter in letters:
        terminal.line(json.dumps(letter.as_json()) if as_json else _line(terminal, letter))
    if not letters and not as_json:
        Terminal(sys.stderr).line("no dead letters")
    return exit_codes.OK


@command.command(name="show", help=_SHOW_HELP)
@click.argument("sequence", type=SEQUENCE)
@click.option("--payload", "only_payload", is_flag=True, help="Only the payload, byte for byte.")
@click.option("--original", "whole", is_flag=True, help="Of a part: the whole message, as it came in.")
@server_of.options
def show(sequence: int, only_payload: bool, whole: bool, server: nats.Server, data: Path, as_json: bool) -> int:
    if only_payload and as_json:
        raise click.UsageError("--payload writes the bytes as they are; --json has the payload as text")

    async def fetch() -> tuple[dead_letters.DeadLetter | None, str]:
        async with client_of(server, data) as client:
            letter = await dead_letters.show(client, sequence)
            if letter is None:
                return None, f"there is no dead letter {sequence}"
            if not whole or letter.original is None:
                return letter, ""
            return await dead_letters.original(client, letter), f"the whole message of {sequence} is not kept"

    letter, reason = asyncio.run(fetch())
    if letter is None:
        return content.not_there(reason, "`vrsky dlq ls` lists them", as_json)
    if only_payload:
        sys.stdout.buffer.write(letter.payload)
        return exit_codes.OK
    terminal = Terminal(sys.stdout)
    if as_json:
        terminal.line(json.dumps({**letter.as_json(), "headers": letter.headers, **content.as_json(letter.payload)}))
        return exit_codes.OK
    terminal.line(_line(terminal, letter))
    content.show_headers(terminal, letter.headers)
    terminal.line()
    content.show_payload(terminal, letter.payload)
    return exit_codes.OK


@command.command(name="rm", help=_RM_HELP)
@click.argument("sequences", metavar="[SEQUENCE]...", nargs=-1, type=SEQUENCE)
@click.option("--customer", metavar="NAME", help="All of this customer.")
@click.option("--pipeline", metavar="NAME", help="With --customer: only of this pipeline.")
@click.option("--all", "everything", is_flag=True, help="All of every customer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_of.options
def rm(
    sequences: tuple[int, ...],
    customer: str | None,
    pipeline: str | None,
    everything: bool,
    yes: bool,
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    if [bool(sequences), customer is not None, everything].count(True) != 1:
        raise click.UsageError("name the dead letters: by SEQUENCE, by --customer NAME, or --all")
    if pipeline is not None and customer is None:
        raise click.UsageError("--pipeline goes with --customer")
    dead_subject(customer, pipeline)
    numbers = dict.fromkeys(sequences)
    chosen = counted(len(numbers)) if numbers else f"all dead letters of {whose(customer, pipeline)}"
    if not (yes or agrees(f"Delete {chosen}?", "deletes", "deleted")):
        return exit_codes.OK

    async def delete() -> tuple[int, list[int]]:
        async with client_of(server, data) as client:
            if not numbers:
                return await dead_letters.purge(client, customer, pipeline), []
            missing = await dead_letters.remove(client, numbers)
            await sweep(client)
            return len(numbers) - len(missing), missing

    deleted, missing = asyncio.run(delete())
    for number in missing:
        Terminal(sys.stderr).line(f"there is no dead letter {number}; `vrsky dlq ls` lists them")
    said = f"deleted {counted(deleted)}"
    Terminal(sys.stdout).line(json.dumps({"deleted": deleted, "missing": missing}) if as_json else said)
    return exit_codes.FINDINGS if missing else exit_codes.OK


def _line(terminal: Terminal, letter: dead_letters.DeadLetter) -> str:
    who = f"{letter.customer}/{letter.pipeline}"
    parts = [
        f"{letter.sequence:>6}",
        terminal.quiet(f"came {moment(letter.time_ms)}"),
        terminal.quiet(f"died {moment(letter.died_ms)}"),
        safe(who),
        safe(letter.step),
        terminal.bad(safe(letter.code)),
    ]
    return "  ".join([*parts, safe(letter.reason)])
