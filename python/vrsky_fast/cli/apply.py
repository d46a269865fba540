"""`vrsky apply`: write pipeline files to the bucket, and wait until the nodes run them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from nats.aio.client import Client

from .. import config
from ..config.folder import nothing_in
from ..config.share import Rule
from ..control.buckets import NODES, PIPELINES, make, name_of
from ..control.revisions import current, delete, write
from ..control.rollout import NodeState
from ..errors import ConfigError, NatsError, VrskyError
from . import bucket, canary, changes, exit_codes, nats, outcome, variables
from .canary import Decided
from .changes import Change
from .choice import counted
from .server_of import agrees
from .terminal import Terminal, safe
from .test import Outcome, run_tests, show_outcome

_HELP = """Write the pipelines of PATH, a pipeline file or a folder of them, to the KV bucket vrsky_pipelines.

All files are checked and their tests run; nothing is written unless all is well. Then it shows what differs from the
bucket, asks, writes, and waits until every node has taken or refused it. A pipeline that somebody else changed
meanwhile is left as it is (config/changed-meanwhile), the others are written. Cut in the middle, it is completed by
running it again.

What is in the bucket and not in PATH stays. With --prune it is deleted, of the customers that PATH has files of.

With --canary what changes runs beside what is there, for a share of the messages. With --abort-above or
--promote-after this command goes on and watches it: it rolls the canary back or promotes it. Cut off, the canary stays
as it is; the same command watches on. By hand: `vrsky promote` and `vrsky rollback`.

\b
Examples:
  vrsky apply pipelines/ --nats nats://nats:4222
  vrsky apply pipelines/ --dry-run
  vrsky apply orders.yaml --yes --note 'price in cents' --wait 60
  vrsky apply pipelines/acme/ --prune --yes --json
  vrsky apply orders.yaml --canary 5% --abort-above 1% --promote-after 10m
"""

_AT_ONCE = 64


@dataclass
class _Done:
    """`sequences` are those of all keys of the files, new or as they were."""

    sequences: dict[str, int] = field(default_factory=dict)
    errors: dict[str, VrskyError] = field(default_factory=dict)
    nodes: list[NodeState] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)


@click.command(name="apply", help=_HELP)
@click.argument("path", type=click.Path(path_type=Path))
@bucket.options
@bucket.writing("Write")
@click.option("--dry-run", "is_dry", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--prune", is_flag=True, help="Delete pipelines of these customers that PATH does not have.")
@canary.options
@nats.replicas("the buckets", "Left out, they stay as they are.")
@variables.option
def command(
    path: Path,
    server: nats.Server,
    yes: bool,
    seconds: float,
    note: str,
    is_dry: bool,
    prune: bool,
    replicas: int | None,
    millionths: int | None,
    abort_above: int | None,
    over: int,
    promote_after: int | None,
    given: dict[str, str],
    as_json: bool,
) -> int:
    rule = canary.rule_of(millionths, abort_above, over, promote_after)
    if prune and millionths is not None:
        raise click.UsageError("--prune deletes at once; do that without --canary")
    terminal = Terminal(sys.stdout)
    loaded, failed = checked(path, given)
    if failed:
        return _tests_failed(terminal, failed, as_json)
    found = asyncio.run(_compare(server, path, loaded, prune))
    if millionths is not None:
        found = canary.beside(found, {one.key: one for one in loaded}, millionths, rule)
    different = [one for one in found if one.kind != "unchanged"]
    if not as_json:
        changes.show(terminal, found)
    if is_dry:
        _report_dry(found, as_json)
        return exit_codes.OK
    question = f"Write {counted(len(different), 'change')} to the bucket?"
    if different and not yes and not agrees(question, "writes", "written"):
        return exit_codes.OK
    done = asyncio.run(_apply(server, found, note, seconds, replicas))
    if not as_json:
        _show(terminal, done, seconds)
    if rule.decides:
        _watch(server, found, rule, done, note, seconds, None if as_json else terminal)
    if as_json:
        click.echo(json.dumps(_as_json(found, done)))
    return _exit_code(done)


def _watch(
    server: nats.Server,
    found: Sequence[Change],
    rule: Rule,
    done: _Done,
    note: str,
    seconds: float,
    terminal: Terminal | None,
) -> None:
    """Until the canaries that were written, or are there as they are to be, are decided on."""
    canaries = {one.key: one.stored.canary for one in found if one.stored is not None}
    keys = [key for key, there in canaries.items() if there is not None and there.rule == rule]
    sequences = {key: done.sequences[key] for key in keys if key in done.sequences}
    if not sequences:
        return
    if terminal is not None:
        names = ", ".join(map(name_of, sorted(sequences)))
        terminal.line(terminal.quiet(f"watching {safe(names)}; Ctrl-C leaves the canary as it is"))
    asyncio.run(_decide(server, sequences, done, note, seconds))
    if terminal is not None:
        canary.show(terminal, done.decided)
        if any(one.sequence is not None for one in done.decided):
            outcome.show(terminal, done.nodes, seconds)


async def _decide(server: nats.Server, sequences: Mapping[str, int], done: _Done, note: str, seconds: float) -> None:
    async with bucket.client_of(server) as client:
        done.decided = await canary.watched(client, sequences, await bucket.author(client, note))
        written = {one.key: one.sequence for one in done.decided if one.sequence is not None}
        done.nodes = await outcome.waited(client, written, seconds)


def checked(path: Path, given: dict[str, str]) -> tuple[list[config.PipelineFile], list[Outcome]]:
    """All files, each checked, and their tests that fail. Raises InvalidConfig."""
    loaded = config.load_all(path, given)
    if not loaded:
        raise config.InvalidConfig([nothing_in(path)])
    outcomes = (outcome for one in loaded for outcome in run_tests(one))
    return loaded, [one for one in outcomes if not one.passed]


def _tests_failed(terminal: Terminal, failed: Sequence[Outcome], as_json: bool) -> int:
    if as_json:
        problems = [
            {"code": "config/test-failed", "reason": "\n".join(one.lines), "file": one.file, "test": one.name}
            for one in failed
        ]
        click.echo(json.dumps({"ok": False, "problems": problems}))
    else:
        for one in failed:
            show_outcome(terminal, one)
        terminal.line(f"nothing was written: {counted(len(failed), 'test')} failed")
    return exit_codes.FINDINGS


async def _compare(server: nats.Server, path: Path, loaded: Sequence[config.PipelineFile], prune: bool) -> list[Change]:
    async with bucket.client_of(server) as client:
        there = await current(client, {one.customer for one in loaded})
    return changes.compare(path, loaded, there, prune)


async def _apply(
    server: nats.Server, found: Sequence[Change], note: str, seconds: float, replicas: int | None
) -> _Done:
    done = _Done({one.key: one.sequence for one in found})
    async with bucket.client_of(server) as client:
        for one in (PIPELINES, NODES):
            await make(client, one, replicas)
        user, text = await bucket.author(client, note)
        different = [one for one in found if one.kind != "unchanged"]
        for first in range(0, len(different), _AT_ONCE):
            some = different[first : first + _AT_ONCE]
            results = await asyncio.gather(*(_write(client, one, user, text) for one in some))
            for change, result in zip(some, results, strict=True):
                if isinstance(result, int):
                    done.sequences[change.key] = result
                else:
                    done.errors[change.key] = result
                    done.sequences.pop(change.key)
        done.nodes = await outcome.waited(client, done.sequences, seconds)
    return done


async def _write(client: Client, change: Change, user: str, note: str) -> int | VrskyError:
    """The new sequence, or what is wrong with this one. Raises what concerns the others as well."""
    try:
        if (refusal := canary.refusal_of(change)) is not None:
            return refusal
        if change.stored is None:
            return await delete(client, change.key, user, note, change.sequence)
        return await write(client, change.stored.by(user, note), change.sequence)
    except ConfigError as error:
        return error
    except NatsError as error:
        if error.code != "nats/max-payload":
            raise
        return error


def _report_dry(found: Sequence[Change], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"ok": True, "dry_run": True, "changes": [one.as_json() for one in found]}))


def _as_json(found: Sequence[Change], done: _Done) -> dict[str, Any]:
    rows = []
    for one in found:
        error = done.errors.get(one.key)
        problem = None if error is None else {"code": error.code, "reason": error.reason}
        rows.append(one.as_json() | {"sequence": done.sequences.get(one.key), "problem": problem})
    ok = _exit_code(done) == exit_codes.OK
    canaries = [one.as_json() for one in done.decided]
    return {"ok": ok, "changes": rows, "canaries": canaries, "nodes": [one.as_json() for one in done.nodes]}


def _show(terminal: Terminal, done: _Done, seconds: float) -> None:
    for key, error in done.errors.items():
        name = safe(name_of(key))
        terminal.line(f"{terminal.bad('not written')}  {name}  {error.code}: {safe(error.reason)}")
    if done.sequences:
        outcome.show(terminal, done.nodes, seconds)


def _exit_code(done: _Done) -> int:
    codes = {one.exit_code for one in done.decided}
    if done.errors or exit_codes.FINDINGS in codes:
        return exit_codes.FINDINGS
    return max(codes | {outcome.exit_code(done.nodes)})
