"""`vrsky delete`: take a pipeline out of the bucket."""

from __future__ import annotations

import asyncio
import json
import sys

import click

from ..control.revisions import delete, history
from ..control.rollout import NodeState
from ..errors import error_for
from . import bucket, exit_codes, nats, outcome
from .server_of import agrees
from .terminal import Terminal

_HELP = """Delete a pipeline from the KV bucket vrsky_pipelines, and wait until no node runs it any more.

What nodes have in hand is finished; messages that wait for the pipeline wait on, and `vrsky parked ls` lists them
later. Its history stays: `vrsky rollback` puts it back.

\b
Examples:
  vrsky delete acme/orders --nats nats://nats:4222
  vrsky delete acme/orders --yes --note 'moved to acme/orders-v2' --json
"""


@click.command(name="delete", help=_HELP)
@click.argument("pipeline", metavar="CUSTOMER/PIPELINE")
@bucket.options
@bucket.writing("Delete")
def command(pipeline: str, server: nats.Server, yes: bool, seconds: float, note: str, as_json: bool) -> int:
    key = bucket.key_of(pipeline)
    if not yes and not agrees(f"Delete {pipeline}?", "deletes", "deleted"):
        return exit_codes.OK
    sequence, states = asyncio.run(_delete(server, key, note, seconds))
    code, terminal = outcome.exit_code(states), Terminal(sys.stdout)
    if as_json:
        report = {"ok": code == exit_codes.OK, "sequence": sequence}
        click.echo(json.dumps(report | {"nodes": [one.as_json() for one in states]}))
    else:
        terminal.line(f"{terminal.bad('deleted')}  {terminal.strong(pipeline)}")
        outcome.show(terminal, states, seconds)
    return code


async def _delete(server: nats.Server, key: str, note: str, seconds: float) -> tuple[int, list[NodeState]]:
    async with bucket.client_of(server) as client:
        now = (await history(client, key))[-1]
        if now.is_deleted:
            raise error_for("config/unknown-pipeline", f"{now.name} is deleted already, by {now.user} at {now.when}")
        user, text = await bucket.author(client, note)
        sequence = await delete(client, key, user, text, now.sequence)
        return sequence, await outcome.waited(client, {key: sequence}, seconds)
