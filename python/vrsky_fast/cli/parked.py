"""`vrsky parked`: messages that are set aside, listed and discarded."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from ..control import parked
from ..control.lock import is_used
from ..control.parked import Parked
from ..control.served import Serving
from ..control.streams import parked_subject
from . import exit_codes, nats, server_of
from .choice import counted, for_whom, whose
from .server_of import agrees, client_of, known
from .terminal import Terminal, moment, safe

_HELP = """Messages that are set aside: their out fails for longer, or nobody serves their pipeline or out.

They are delivered when the out works, or when it is served again; nothing else deletes them but `discard`.
Without --nats the data folder of `vrsky run` is used; it may be running or not.

\b
Examples:
  vrsky parked ls
  vrsky parked ls --customer acme --json
  vrsky parked discard --customer acme --pipeline orders --out erp
"""

_LS_HELP = """How many there are for each out, since when, and whether it is served.

\b
Examples:
  vrsky parked ls --customer acme --pipeline orders
  vrsky parked ls --json
"""

_DISCARD_HELP = """Delete those of an out, a pipeline or a customer, or all of them, for good.

\b
Examples:
  vrsky parked discard --customer acme --pipeline orders --out erp
  vrsky parked discard --customer acme --yes
"""


@click.group(name="parked", help=_HELP)
def command() -> None:
    pass


@command.command(name="ls", help=_LS_HELP)
@click.option("--customer", metavar="NAME", help="Only of this customer.")
@click.option("--pipeline", metavar="NAME", help="Only of this pipeline.")
@click.option("--out", metavar="NAME", help="Only for this out; `_in` means the steps of the pipeline.")
@server_of.options
def ls(
    customer: str | None, pipeline: str | None, out: str | None, server: nats.Server, data: Path, as_json: bool
) -> int:
    # Before there is a connection, which uses the data folder itself.
    serving = known(server, data) if is_used(data) else None

    async def fetch() -> list[Parked]:
        async with client_of(server, data) as client:
            return await parked.listing(client, customer, pipeline, out)

    found = asyncio.run(fetch())
    terminal = Terminal(sys.stdout)
    for one in found:
        is_served = _is_served(one, serving)
        terminal.line(
            json.dumps({**one.as_json(), "served": is_served}) if as_json else _line(terminal, one, is_served)
        )
    if not found and not as_json:
        Terminal(sys.stderr).line("nothing is set aside")
    return exit_codes.OK


@command.command(name="discard", help=_DISCARD_HELP)
@click.option("--customer", metavar="NAME", help="All of this customer.")
@click.option("--pipeline", metavar="NAME", help="With --customer: only of this pipeline.")
@click.option("--out", metavar="NAME", help="With --pipeline: only for this out; `_in` means the pipeline's steps.")
@click.option("--all", "everything", is_flag=True, help="All of every customer.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_of.options
def discard(
    customer: str | None,
    pipeline: str | None,
    out: str | None,
    everything: bool,
    yes: bool,
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    if everything == (customer is not None):
        raise click.UsageError("name the messages: by --customer NAME, or --all")
    if (pipeline is not None and customer is None) or (out is not None and pipeline is None):
        raise click.UsageError("--pipeline goes with --customer, and --out with --pipeline")
    _ = parked_subject(customer, pipeline, out)
    chosen = whose(customer, pipeline) + (f", out {out}" if out else "")
    if not (yes or agrees(f"Delete all messages that are set aside for {chosen}?", "deletes", "deleted")):
        return exit_codes.OK

    async def delete() -> parked.Discarded:
        async with client_of(server, data) as client:
            return await parked.discard(client, customer, pipeline, out)

    done = asyncio.run(delete())
    Terminal(sys.stdout).line(json.dumps(asdict(done)) if as_json else _told(done))
    return exit_codes.OK


def _told(done: parked.Discarded) -> str:
    told = f"deleted {counted(done.deleted, 'message')}"
    return told + (f"; {done.in_hand} of them a node has in hand, and may deliver yet" if done.in_hand else "")


def _is_served(one: Parked, serving: Serving | None) -> bool | None:
    """By the run that is at work; None when none is, or nothing is known of it."""
    if serving is None:
        return None
    return serving.has(one.customer, one.pipeline, one.out)


def _line(terminal: Terminal, one: Parked, is_served: bool | None) -> str:
    parts = [
        safe(f"{one.customer}/{one.pipeline}"),
        safe(for_whom(one.out)),
        counted(one.messages, "message"),
        terminal.quiet(f"oldest came {moment(one.came_ms)}"),
        terminal.quiet(f"set aside {moment(one.parked_ms)}"),
    ]
    if is_served is not None:
        parts.append("served" if is_served else terminal.warning("not served"))
    return "  ".join(parts)
