"""`vrsky messages`: what waits in the lanes and is parked, listed and shown."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from ..control import headers, messages
from ..control.messages import Found, WaitingMessage
from . import content, exit_codes, nats, server_of
from .choice import counted
from .server_of import client_of
from .terminal import Terminal, safe

_HELP = """Messages that wait: for the steps of their pipeline, for an out, or parked.

They are read where they are; nothing is taken from a node. Messages that failed for good are `vrsky dlq`.
Without --nats the data folder of `vrsky run` is used; it may be running or not.

\b
Examples:
  vrsky messages ls
  vrsky messages ls acme/orders --type outgoing
  vrsky messages show VRSKY_OUTGOING_T1000_0:17
  vrsky messages show VRSKY_OUTGOING_T1000_0:17 --raw > order.json
"""

_LS_HELP = """The oldest messages that wait, oldest first: of all customers, of CUSTOMER, or of CUSTOMER/PIPELINE.

\b
Examples:
  vrsky messages ls --limit 10
  vrsky messages ls acme --type parked
  vrsky messages ls acme/orders --type logic --type outgoing --json
"""

_SHOW_HELP = """One message with its headers and payload. ID is the place that `vrsky messages ls` shows first, or the
message's id. The values of headers that may be secrets, such as `Authorization`, are never shown.

\b
Examples:
  vrsky messages show VRSKY_LOGIC_T1000_0:17
  vrsky messages show acme.0123456789abcdef0123456789abcdef --headers
  vrsky messages show VRSKY_LOGIC_T1000_0:17 --raw > order.xml
"""


@click.group(name="messages", help=_HELP)
def command() -> None:
    pass


@command.command(name="ls", help=_LS_HELP)
@click.argument("whose", metavar="[CUSTOMER[/PIPELINE]]", default="")
@click.option("--type", "types", multiple=True, type=click.Choice(messages.TYPES), help="Only these; may be repeated.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@server_of.options
def ls(whose: str, types: tuple[str, ...], limit: int, server: nats.Server, data: Path, as_json: bool) -> int:
    customer, slash, pipeline = whose.partition("/")

    async def fetch() -> Found:
        async with client_of(server, data) as client:
            return await messages.oldest(client, limit, customer or None, pipeline if slash else None, types)

    found = asyncio.run(fetch())
    terminal, beside = Terminal(sys.stdout), Terminal(sys.stderr)
    for one in found.messages:
        begins = content.beginning(one.payload)
        terminal.line(json.dumps({**one.as_json(), "begins": begins}) if as_json else _line(terminal, one))
    if found.has_more:
        beside.line(f"there are more than {limit:,}; --limit shows more of them")
    elif not found.messages and not as_json:
        beside.line("nothing waits")
    return exit_codes.OK


@command.command(name="show", help=_SHOW_HELP)
@click.argument("wanted", metavar="ID")
@click.option("--raw", is_flag=True, help="Only the payload, byte for byte.")
@click.option("--headers", "only_headers", is_flag=True, help="Only the headers.")
@server_of.options
def show(wanted: str, raw: bool, only_headers: bool, server: nats.Server, data: Path, as_json: bool) -> int:
    if raw and (as_json or only_headers):
        raise click.UsageError("--raw writes the payload alone, as it is; leave --json and --headers out")

    async def fetch() -> WaitingMessage | None:
        async with client_of(server, data) as client:
            return await messages.find(client, wanted)

    message = asyncio.run(fetch())
    if message is None:
        return content.not_there(f"no message {wanted} waits", "`vrsky messages ls` lists those that do", as_json)
    if raw:
        sys.stdout.buffer.write(message.payload)
        return exit_codes.OK
    terminal, named = Terminal(sys.stdout), headers.shown(message.headers)
    if as_json:
        payload = {} if only_headers else content.as_json(message.payload)
        terminal.line(json.dumps({**message.as_json(), "headers": named, **payload}))
        return exit_codes.OK
    if not only_headers:
        terminal.line(_line(terminal, message, with_payload=False))
    content.show_headers(terminal, named)
    if not only_headers:
        terminal.line()
        content.show_payload(terminal, message.payload)
    return exit_codes.OK


_DELIVERED = {True: "with a node", False: "waiting", None: "nobody reads it"}


def _line(terminal: Terminal, one: WaitingMessage, with_payload: bool = True) -> str:
    parts = [
        terminal.strong(one.place),
        safe(f"{one.customer}/{one.pipeline}"),
        safe("for its steps" if one.step == "in" else f"for out {one.step}"),
        f"{one.type}, {_DELIVERED[one.is_delivered]}",
        f"for {_lasted(one.age_ms)}",
        counted(len(one.payload), "byte"),
        terminal.quiet(safe(one.id)),
    ]
    return "  ".join([*parts, content.beginning(one.payload)] if with_payload else parts)


def _lasted(milliseconds: int) -> str:
    """Such as `90 s` or `5 h`."""
    seconds = milliseconds // 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
