"""`vrsky settings`: what all nodes of a deployment follow, shown and changed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence

import click

from ..config.deployment import SCHEMA, DeploymentSettings
from ..control import deployment
from ..control.buckets import DEPLOYMENT, make
from ..control.deployment import Version, in_force, write
from ..control.rollout import NodeState, wait_for_settings
from . import bucket, exit_codes, nats, outcome
from .server_of import agrees
from .terminal import Terminal, safe

_HELP = """Settings of a whole deployment, in the KV bucket vrsky_deployment: all nodes of `vrsky node` follow them.

A change takes effect while messages flow. A value that cannot be used, such as one written by hand, changes nothing:
nodes go on with the last good one, and say so.

\b
Examples:
  vrsky settings show --nats nats://nats:4222
  vrsky settings set topology=split --note 'filters need machines of their own'
  vrsky settings unset topology
  vrsky settings history --json
"""

_SHOW_HELP = """What is set, who set it and when. Exit code 1 when what the bucket holds cannot be used.

\b
Examples:
  vrsky settings show
  vrsky settings show --json
"""

_SET_HELP = """Set some of the settings, and wait until every node follows them. The others stay as they are.

Keys and values are those of `vrsky settings schema`; a dot leads into an object. Nothing is written when somebody else
has changed the settings meanwhile. Exit code 1 when a node does not follow them, 3 when one has not answered in time.

\b
Examples:
  vrsky settings set topology=split
  vrsky settings set topology=fused --yes --note 'one kind of node is enough' --wait 60
"""

_UNSET_HELP = """Take settings away, so that they are as if nobody had set them; otherwise as `vrsky settings set`.

\b
Examples:
  vrsky settings unset topology
"""

_HISTORY_HELP = """The last 10 versions of the settings, the newest first.

\b
Examples:
  vrsky settings history
  vrsky settings history --json
"""

_SCHEMA_HELP = """Print the JSON Schema of the settings (draft 2020-12).

\b
Examples:
  vrsky settings schema | jq .properties
"""


@click.group(name="settings", help=_HELP)
def command() -> None:
    pass


@command.command(name="show", help=_SHOW_HELP)
@bucket.options
def show(server: nats.Server, as_json: bool) -> int:
    versions = asyncio.run(_history(server))
    settings, now = in_force(versions), versions[-1] if versions else None
    problems = now.problems if now is not None else ()
    if as_json:
        click.echo(json.dumps({"in_force": dict(settings.values), "now": now and now.as_json()}))
    else:
        show_settings(Terminal(sys.stdout), settings, now)
    return exit_codes.FINDINGS if problems else exit_codes.OK


@command.command(name="set", help=_SET_HELP)
@click.argument("given", metavar="KEY=VALUE...", nargs=-1, required=True)
@bucket.options
@bucket.writing("Write")
def set_(given: tuple[str, ...], server: nats.Server, yes: bool, seconds: float, note: str, as_json: bool) -> int:
    wanted: dict[str, str] = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{one!r} is no KEY=VALUE, such as topology=split")
        if key in wanted:
            raise click.UsageError(f"{key} is given twice")
        wanted[key] = value
    return _change(server, wanted, (), (yes, seconds, note, as_json))


@command.command(name="unset", help=_UNSET_HELP)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@bucket.options
@bucket.writing("Write")
def unset(keys: tuple[str, ...], server: nats.Server, yes: bool, seconds: float, note: str, as_json: bool) -> int:
    return _change(server, {}, keys, (yes, seconds, note, as_json))


@command.command(name="history", help=_HISTORY_HELP)
@bucket.options
def history(server: nats.Server, as_json: bool) -> int:
    versions = asyncio.run(_history(server))
    versions.reverse()
    if as_json:
        click.echo(json.dumps({"versions": [one.as_json() for one in versions]}))
        return exit_codes.OK
    terminal = Terminal(sys.stdout)
    for one in versions:
        terminal.line(f"{terminal.strong(safe(_said(one)))}  {one.when}  {safe(one.by)}")
    if not versions:
        terminal.line("nobody has set anything")
    return exit_codes.OK


@command.command(name="schema", help=_SCHEMA_HELP)
def schema() -> int:
    click.echo(json.dumps(SCHEMA, indent=2, ensure_ascii=False))
    return exit_codes.OK


def show_settings(terminal: Terminal, settings: DeploymentSettings, now: Version | None) -> None:
    """`settings` are in force; `now` is what the bucket holds."""
    lines = settings.lines() or ["nothing is set: every node decides"]
    by = "" if now is None else f"  {now.when}  {now.by}"
    terminal.line(f"{terminal.strong('settings')}  {safe('  '.join(lines) + by)}")
    if now is not None and now.problems:
        terminal.problems(now.problems)


def _said(one: Version) -> str:
    if one.settings is None:
        return "no settings"
    return "deleted" if one.is_deleted else " ".join(one.settings.lines()) or "nothing set"


def _change(
    server: nats.Server, given: Mapping[str, str], removed: Sequence[str], how: tuple[bool, float, str, bool]
) -> int:
    yes, seconds, note, as_json = how
    versions = asyncio.run(_history(server))
    before = in_force(versions)
    after = before.with_values(given, removed)
    terminal, last = Terminal(sys.stdout), versions[-1].sequence if versions else 0
    is_same = after == before and versions[-1:] and not versions[-1].problems
    if not as_json:
        _show_change(terminal, before, after)
    if not is_same and not yes and not agrees("Write these settings?", "writes", "written"):
        return exit_codes.OK
    sequence, states = asyncio.run(_put(server, None if is_same else after, last, note, seconds))
    code = outcome.exit_code(states)
    if as_json:
        report = {"ok": code == exit_codes.OK, "settings": dict(after.values), "sequence": sequence}
        click.echo(json.dumps(report | {"nodes": [one.as_json() for one in states]}))
    else:
        outcome.show(terminal, states, seconds)
    return code


def _show_change(terminal: Terminal, before: DeploymentSettings, after: DeploymentSettings) -> None:
    old, new = before.lines(), after.lines()
    for one in old:
        if one not in new:
            terminal.line(terminal.bad(f"- {safe(one)}"))
    for one in new:
        if one not in old:
            terminal.line(terminal.good(f"+ {safe(one)}"))
    if old == new:
        terminal.line(terminal.quiet("nothing changes"))


async def _history(server: nats.Server) -> list[Version]:
    async with bucket.client_of(server) as client:
        return await deployment.history(client)


async def _put(
    server: nats.Server, settings: DeploymentSettings | None, last: int, note: str, seconds: float
) -> tuple[int, list[NodeState]]:
    """Writes the settings unless they are None, which is there already as `last`."""
    async with bucket.client_of(server) as client:
        sequence = last
        if settings is not None:
            await make(client, DEPLOYMENT, None)
            user, text = await bucket.author(client, note)
            sequence = await write(client, settings, user, text, last)
        return sequence, await wait_for_settings(client, sequence, seconds) if seconds > 0 else []
