"""What `vrsky rollback` and `vrsky promote` share: a document that the bucket had, or has beside the active one, is
written as the active one."""

from __future__ import annotations

import asyncio
import json

import click

from ..config.stored import Stored
from ..control import revisions
from ..control.revisions import Revision, write
from ..control.rollout import NodeState
from . import bucket, exit_codes, nats, outcome
from .terminal import Terminal


def history(server: nats.Server, key: str) -> list[Revision]:
    """The oldest first. Raises NatsError, and ConfigError where the key never was."""

    async def told() -> list[Revision]:
        async with bucket.client_of(server) as client:
            return await revisions.history(client, key)

    return asyncio.run(told())


def put_back(
    server: nats.Server, stored: Stored, now: Revision, note: str, seconds: float, terminal: Terminal, as_json: bool
) -> int:
    """Writes it in place of `now`, waits for the nodes and says what became of it; the exit code."""
    sequence, states = asyncio.run(_put(server, stored, now.sequence, note, seconds))
    code = outcome.exit_code(states)
    if as_json:
        report = {"ok": code == exit_codes.OK, "revision": stored.revision, "previous": now.revision}
        click.echo(json.dumps(report | {"sequence": sequence, "nodes": [one.as_json() for one in states]}))
    else:
        outcome.show(terminal, states, seconds)
    return code


async def _put(
    server: nats.Server, stored: Stored, last: int, note: str, seconds: float
) -> tuple[int, list[NodeState]]:
    async with bucket.client_of(server) as client:
        user, text = await bucket.author(client, note)
        sequence = await write(client, stored.by(user, text), last)
        return sequence, await outcome.waited(client, {stored.key: sequence}, seconds)
