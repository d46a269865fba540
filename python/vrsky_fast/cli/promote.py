"""`vrsky promote`: make the canary of a pipeline its active revision."""

from __future__ import annotations

import asyncio
import json
import sys

import click

from ..config.share import percent
from ..config.stored import Canary
from ..control.revisions import Revision, history, write
from ..control.rollout import NodeState
from ..errors import error_for
from . import bucket, exit_codes, nats, outcome
from .changes import Change, show
from .server_of import agrees
from .terminal import Terminal

_HELP = """Make the canary of a pipeline its active revision, for all of its messages, and wait until nodes run it.

`vrsky status` shows the canary and how many of its messages have failed; `vrsky rollback` takes it away instead.

\b
Examples:
  vrsky promote acme/orders --nats nats://nats:4222
  vrsky promote acme/orders --yes --note 'two days without a failure' --json
"""


@click.command(name="promote", help=_HELP)
@click.argument("pipeline", metavar="CUSTOMER/PIPELINE")
@bucket.options
@bucket.writing("Promote")
def command(pipeline: str, server: nats.Server, yes: bool, seconds: float, note: str, as_json: bool) -> int:
    now = asyncio.run(_now(server, bucket.key_of(pipeline)))
    canary = None if now.stored is None else now.stored.canary
    if canary is None:
        raise error_for("config/canary", f"{now.name} has no canary that could be promoted")
    terminal = Terminal(sys.stdout)
    if not as_json:
        show(terminal, [Change(now.key, "changed", canary.stored, now)])
    question = f"Run all messages by revision {canary.stored.revision}, and not only {percent(canary.millionths)}?"
    if not yes and not agrees(question, "promotes", "promoted"):
        return exit_codes.OK
    sequence, states = asyncio.run(_promote(server, now, canary, note, seconds))
    code = outcome.exit_code(states)
    if as_json:
        report = {"ok": code == exit_codes.OK, "revision": canary.stored.revision, "previous": now.revision}
        click.echo(json.dumps(report | {"sequence": sequence, "nodes": [one.as_json() for one in states]}))
    else:
        outcome.show(terminal, states, seconds)
    return code


async def _now(server: nats.Server, key: str) -> Revision:
    async with bucket.client_of(server) as client:
        return (await history(client, key))[-1]


async def _promote(
    server: nats.Server, now: Revision, canary: Canary, note: str, seconds: float
) -> tuple[int, list[NodeState]]:
    async with bucket.client_of(server) as client:
        user, text = await bucket.author(client, note or f"canary {canary.stored.revision} promoted")
        sequence = await write(client, canary.stored.by(user, text), now.sequence)
        return sequence, await outcome.waited(client, {now.key: sequence}, seconds)
