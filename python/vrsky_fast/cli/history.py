"""`vrsky history`: the revisions of a pipeline in the bucket."""

from __future__ import annotations

import asyncio
import json
import sys

import click

from ..control.revisions import Revision, history
from . import bucket, exit_codes, nats
from .terminal import Terminal, safe

_HELP = """List the last 10 revisions of a pipeline in the KV bucket vrsky_pipelines, the newest first.

Times are the server's; the user is who the server knows, and the note begins with --note of the command.

\b
Examples:
  vrsky history acme/orders --nats nats://nats:4222
  vrsky history acme/orders --json
"""


@click.command(name="history", help=_HELP)
@click.argument("pipeline", metavar="CUSTOMER/PIPELINE")
@bucket.options
def command(pipeline: str, server: nats.Server, as_json: bool) -> int:
    found = asyncio.run(_history(server, bucket.key_of(pipeline)))
    found.reverse()
    if as_json:
        click.echo(json.dumps({"revisions": [one.as_json() for one in found]}))
        return exit_codes.OK
    terminal = Terminal(sys.stdout)
    for one in found:
        what = "deleted" if one.is_deleted else one.revision or "no pipeline"
        beside = "" if one.canary is None else f"  with canary {one.canary.stored.revision}"
        terminal.line(
            f"{terminal.strong(f'{what:<16}')}  {one.when}  {safe(one.user)}  {terminal.quiet(safe(one.note))}{beside}"
        )
    return exit_codes.OK


async def _history(server: nats.Server, key: str) -> list[Revision]:
    async with bucket.client_of(server) as client:
        return await history(client, key)
