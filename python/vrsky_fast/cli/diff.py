"""`vrsky diff`: compare pipeline files with the bucket."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from .. import config
from ..control.revisions import Revision, current
from . import bucket, changes, exit_codes, nats, variables
from .terminal import Terminal

_HELP = """Compare the pipelines of PATH, a pipeline file or a folder of them, with the KV bucket vrsky_pipelines.

Shows what `vrsky apply` would write, with a diff of each changed file. Exit code 1 when something differs.

\b
Examples:
  vrsky diff pipelines/ --nats nats://nats:4222
  vrsky diff pipelines/acme/ --prune --json
"""


@click.command(name="diff", help=_HELP)
@click.argument("path", type=click.Path(path_type=Path))
@bucket.options
@click.option("--prune", is_flag=True, help="Count pipelines of these customers that PATH does not have.")
@variables.option
def command(path: Path, server: nats.Server, prune: bool, given: dict[str, str], as_json: bool) -> int:
    loaded = config.load_all(path, given)
    there = asyncio.run(_current(server, {one.customer for one in loaded}))
    found = changes.compare(path, loaded, there, prune)
    differs = any(one.kind != "unchanged" for one in found)
    if as_json:
        click.echo(json.dumps({"ok": not differs, "changes": [one.as_json() for one in found]}))
    else:
        changes.show(Terminal(sys.stdout), found)
    return exit_codes.FINDINGS if differs else exit_codes.OK


async def _current(server: nats.Server, customers: set[str]) -> dict[str, Revision]:
    async with bucket.client_of(server) as client:
        return await current(client, customers)
