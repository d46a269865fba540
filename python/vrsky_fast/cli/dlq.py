"""`vrsky dlq`: list, show and delete dead letters."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import click
from nats.aio.client import Client

from ..control import dead_letters, server_config
from ..control.connection import connect, endpoint_of
from ..control.lock import FOR_A_MOMENT, DataFolder, on_disk
from ..control.server import Server
from ..control.streams import dead_subject
from ..errors import error_for
from . import exit_codes, nats
from .terminal import Terminal, safe

_HELP = """List, show and delete dead letters: messages that failed for good, with the reason and the payload.

Without --nats the data folder of `vrsky run` is used; it may be running or not.

\b
Examples:
  vrsky dlq ls
  vrsky dlq ls --customer acme --pipeline orders --limit 10
  vrsky dlq show 17
  vrsky dlq show 17 --payload > order.xml
  vrsky dlq rm 17 18
  vrsky dlq rm --customer acme --pipeline orders --yes
"""


# JetStream's numbers have 64 bits.
_LAST_SEQUENCE = 2**64 - 1


def _where(function: Callable[..., int]) -> Callable[..., int]:
    """The options that all verbs share."""
    folder = click.Path(path_type=Path)
    data = click.option(
        "--data", default=".vrsky", show_default=True, type=folder, help="The data folder of `vrsky run`."
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
    return nats.options("A running NATS server.")(data(as_json(function)))


@click.group(name="dlq", help=_HELP)
def command() -> None:
    pass


@command.command(name="ls", help="The newest dead letters, oldest first.")
@click.option("--customer", metavar="NAME", help="Only of this customer.")
@click.option("--pipeline", metavar="NAME", help="Only of this pipeline.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@_where
def ls(customer: str | None, pipeline: str | None, limit: int, server: nats.Server, data: Path, as_json: bool) -> int:
    async def fetch() -> list[dead_letters.DeadLetter]:
        async with _client(server, data) as client:
            return await dead_letters.newest(client, limit, customer, pipeline)

    letters = asyncio.run(fetch())
    terminal = Terminal(sys.stdout)
    for letter in letters:
        terminal.line(json.dumps(letter.as_json()) if as_json else _line(terminal, letter))
    if not letters and not as_json:
        Terminal(sys.stderr).line("no dead letters")
    return exit_codes.OK


@command.command(name="show", help="One dead letter with its headers and payload.")
@click.argument("sequence", type=click.IntRange(1, _LAST_SEQUENCE))
@click.option("--payload", "only_payload", is_flag=True, help="Only the payload, byte for byte.")
@_where
def show(sequence: int, only_payload: bool, server: nats.Server, data: Path, as_json: bool) -> int:
    if only_payload and as_json:
        raise click.UsageError("--payload writes the bytes as they are; --json has the payload as text")

    async def fetch() -> dead_letters.DeadLetter | None:
        async with _client(server, data) as client:
            return await dead_letters.show(client, sequence)

    letter = asyncio.run(fetch())
    if letter is None:
        reason, hint = f"there is no dead letter {sequence}", "`vrsky dlq ls` lists them"
        if as_json:
            problem = {"code": None, "reason": reason, "hint": hint}
            Terminal(sys.stdout).line(json.dumps({"ok": False, "problems": [problem]}))
        else:
            Terminal(sys.stderr).line(f"{reason}; {hint}")
        return exit_codes.FINDINGS
    if only_payload:
        sys.stdout.buffer.write(letter.payload)
        return exit_codes.OK
    terminal = Terminal(sys.stdout)
    text = letter.payload.decode(errors="replace")
    if as_json:
        shown = {**letter.as_json(), "headers": letter.headers, "payload": text}
        if text.encode() != letter.payload:
            # Not UTF-8: the text is not all of it.
            shown["payload_base64"] = base64.b64encode(letter.payload).decode()
        terminal.line(json.dumps(shown))
        return exit_codes.OK
    terminal.line(_line(terminal, letter))
    for name, value in letter.headers.items():
        terminal.line(f"  {terminal.quiet(safe(name))}: {safe(value)}")
    terminal.line()
    for line in text.splitlines():
        terminal.line(safe(line))
    return exit_codes.OK


@command.command(name="rm", help="Delete dead letters for good: by their numbers, of a customer, or all of them.")
@click.argument("sequences", metavar="[SEQUENCE]...", nargs=-1, type=click.IntRange(1, _LAST_SEQUENCE))
@click.option("--customer", metavar="NAME", help="All of this customer.")
@click.option("--pipeline", metavar="NAME", help="With --customer: only of this pipeline.")
@click.option("--all", "everything", is_flag=True, help="All of every customer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_where
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
    # Before there is a connection: a run waits for those who use its data folder.
    if not (yes or _agrees(_question(list(numbers), customer, pipeline))):
        Terminal(sys.stderr).line("nothing was deleted")
        return exit_codes.OK

    async def delete() -> tuple[int, list[int]]:
        async with _client(server, data) as client:
            if not numbers:
                return await dead_letters.purge(client, customer, pipeline), []
            missing = await dead_letters.remove(client, numbers)
            return len(numbers) - len(missing), missing

    deleted, missing = asyncio.run(delete())
    for number in missing:
        Terminal(sys.stderr).line(f"there is no dead letter {number}; `vrsky dlq ls` lists them")
    said = f"deleted {_counted(deleted)}"
    Terminal(sys.stdout).line(json.dumps({"deleted": deleted, "missing": missing}) if as_json else said)
    return exit_codes.FINDINGS if missing else exit_codes.OK


def _question(numbers: list[int], customer: str | None, pipeline: str | None) -> str:
    if numbers:
        return f"Delete {_counted(len(numbers))}?"
    if customer is None:
        return "Delete all dead letters of all customers?"
    return f"Delete all dead letters of {customer}{'/' + pipeline if pipeline else ''}?"


def _counted(number: int) -> str:
    return f"{number:,} dead letter{'' if number == 1 else 's'}"


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; --yes deletes without asking")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _line(terminal: Terminal, letter: dead_letters.DeadLetter) -> str:
    when = datetime.fromtimestamp(letter.time_ms / 1000).strftime("%Y-%m-%d %H:%M:%S") if letter.time_ms else "-"
    who = f"{letter.customer}/{letter.pipeline}"
    parts = [
        f"{letter.sequence:>6}",
        terminal.quiet(when),
        safe(who),
        safe(letter.step),
        terminal.bad(safe(letter.code)),
    ]
    return "  ".join([*parts, safe(letter.reason)])


@asynccontextmanager
async def _client(named: nats.Server, data: Path) -> AsyncIterator[Client]:
    """A connection to --nats, to the running server of the data folder, or to one started for this."""
    if named.url is not None:
        async with connect(endpoint_of(named.url, named.tls)) as client:
            yield client
        return
    with on_disk(data):
        is_one = (data / "jetstream").is_dir()
    if not is_one:
        raise error_for("config/data-folder-unusable", f"{data} is no data folder of `vrsky run`")
    folder = DataFolder(data)
    if not folder.try_lock(FOR_A_MOMENT):
        recorded = server_config.recall(server_config.Layout(folder.path))
        if recorded is None:
            raise error_for("config/data-folder-in-use", f"{data} is in use, and its server is not up yet")
        async with connect(recorded[1]) as client:
            yield client
        return
    server = Server(folder.path)
    try:
        async with connect(await server.start()) as client:
            yield client
    finally:
        await server.stop()
        folder.unlock()
