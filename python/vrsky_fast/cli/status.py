"""`vrsky status`: what the bucket holds, and what each node makes of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from .._native import is_name
from ..config.share import percent
from ..config.stored import Canary
from ..control import buckets, deployment
from ..control.deployment import Version, in_force
from ..control.leases import Lease, leases
from ..control.nodes import Figures, NodeRecord, nodes
from ..control.revisions import Revision, current
from ..control.rollout import NodeState, settings_state_of, state_of
from ..control.trial import as_json, of_nodes, rate
from ..errors import error_for
from . import bucket, nats, outcome
from .choice import counted
from .settings import show_settings
from .terminal import Terminal, safe

_HELP = """Show the pipelines of the KV bucket vrsky_pipelines, who applied them and when, and what the nodes run.

WHAT is CUSTOMER or CUSTOMER/PIPELINE; without it all of them. Times are the server's. A node that says nothing for 15 s
is in no list. Exit code 1 when a node refuses a pipeline, 3 when a node has not come so far.

\b
Examples:
  vrsky status --nats nats://nats:4222
  vrsky status acme
  vrsky status acme/orders --json
"""

# A node says something every 4 s.
_SILENT_SECONDS = 9.0


@dataclass(frozen=True)
class _Status:
    revisions: Sequence[Revision]
    nodes: Sequence[NodeRecord]
    bucket: str
    leases: Mapping[str, Lease]
    settings: Sequence[Version]
    settings_bucket: str

    def following(self) -> list[NodeState]:
        """What the nodes make of the settings of the deployment, where there are any."""
        if not self.settings:
            return []
        sequence = self.settings[-1].sequence
        return [settings_state_of(node, sequence, self.settings_bucket) for node in self.nodes]

    def of(self, one: Revision) -> list[NodeState]:
        states = (state_of(node, {one.key: one.sequence}, self.bucket) for node in self.nodes)
        return [state for state in states if state is not None]

    def silent(self, node: NodeRecord) -> float:
        """Seconds behind the node that was heard last, by the server's clock."""
        return max(one.heard for one in self.nodes) - node.heard


@click.command(name="status", help=_HELP)
@click.argument("what", required=False)
@bucket.options
def command(what: str | None, server: nats.Server, as_json: bool) -> int:
    found = asyncio.run(_status(server, what))
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        _show(Terminal(sys.stdout), found)
    return outcome.exit_code([*found.following(), *(state for one in found.revisions for state in found.of(one))])


async def _status(server: nats.Server, what: str | None) -> _Status:
    if what is None:
        customers, key = None, None
    elif is_name(what):
        customers, key = {what}, None
    else:
        key = bucket.key_of(what)
        customers = {key.partition(".")[0]}
    async with bucket.client_of(server) as client:
        there = await current(client, customers)
        running, identity = await nodes(client), await buckets.identity(client, buckets.PIPELINES)
        held = {one.key: one for one in await leases(client, customers)}
        settings, set_in = await deployment.history(client), await buckets.identity(client, buckets.DEPLOYMENT)
    found = [one for _, one in sorted(there.items()) if not one.is_deleted and key in {None, one.key}]
    if key is not None and not found:
        raise error_for("config/unknown-pipeline", f"there is no {what} in vrsky_pipelines")
    concerned = [one for one in running if customers is None or any(map(one.concerns, customers))]
    return _Status(found, concerned, identity, held, settings, set_in)


def _as_json(found: _Status) -> dict[str, Any]:
    rows = []
    for one in found.revisions:
        customer, _, pipeline = one.key.partition(".")
        states = found.of(one)
        running = {
            "applied": sum(state.state == "applied" for state in states),
            "waiting": [state.node.id for state in states if state.state == "waiting"],
            "refused": {state.node.id: state.as_json()["refused"] for state in states if state.state == "refused"},
        }
        row = {"customer": customer, "pipeline": pipeline} | one.as_json()
        if one.canary is not None:
            row["canary_runs"] = as_json(of_nodes(one.key, one.canary.stored.revision, found.nodes))
        if (lease := found.leases.get(one.key)) is not None:
            row["lease"] = {"node": lease.node, "since": _when(lease)}
        rows.append(row | {"nodes": running})
    running_nodes = [
        {
            "node": one.id,
            "types": one.types,
            "topology": one.settings and one.settings.topology,
            "left_out": one.settings.left_out if one.settings else [],
            "moving": one.settings.moving if one.settings else [],
            "customer": one.customer,
            "version": one.version,
            "host": one.host,
            "started": one.started,
            "up_seconds": one.up_seconds,
            "seen": one.seen,
            "pipelines": one.pipelines,
            "refused": one.refused_total,
            "silent_seconds": round(found.silent(one), 1),
        }
        for one in found.nodes
    ]
    now = found.settings[-1] if found.settings else None
    settings = {
        "in_force": dict(in_force([*found.settings]).values),
        "now": now and now.as_json(),
        "nodes": [one.as_json() for one in found.following()],
    }
    return {"pipelines": rows, "nodes": running_nodes, "settings": settings}


def _show(terminal: Terminal, found: _Status) -> None:
    for one in found.revisions:
        _show_one(terminal, one, found.of(one), found.leases.get(one.key))
        if one.canary is not None:
            _show_canary(terminal, one.canary, of_nodes(one.key, one.canary.stored.revision, found.nodes))
    if not found.revisions:
        terminal.line("no pipelines")
    if found.settings:
        show_settings(terminal, in_force([*found.settings]), found.settings[-1])
    states = found.following()
    applied = sum(state.state == "applied" for state in states)
    if applied < len(states):
        terminal.line(f"  followed by {applied} of {counted(len(states), 'node')}")
        _show_states(terminal, states)
    for node in found.nodes:
        age = timedelta(seconds=node.up_seconds)
        parts = [node.id, ",".join(node.types), node.customer or "shared lanes", node.version, f"up {age}"]
        parts.append(counted(node.pipelines, "pipeline"))
        if node.settings is not None and node.settings.moving:
            parts.append(f"moving {', '.join(node.settings.moving)}")
        if node.refused_total:
            parts.append(f"{node.refused_total} refused")
        silent = found.silent(node)
        word = terminal.warning("silent") if silent > _SILENT_SECONDS else terminal.good("node  ")
        terminal.line(f"{word}  {safe('  '.join(parts))}")
    if not found.nodes:
        terminal.line(terminal.warning("no node answers"))


def _show_canary(terminal: Terminal, canary: Canary, figures: Figures) -> None:
    share, rule = percent(canary.millionths), canary.rule
    terminal.line(
        f"  {terminal.warning('canary')}  {canary.stored.revision}  {share} of the messages  {safe(canary.stored.file)}"
    )
    active = rate(figures.active_failed, figures.active_messages)
    terminal.line(f"    {rate(figures.failed, figures.messages)}; active: {active}")
    if rule.abort_above is not None:
        terminal.line(f"    rolled back above {percent(rule.abort_above)} of {rule.over:,} messages and more")
    if rule.promote_after is not None:
        terminal.line(f"    promoted after {timedelta(seconds=rule.promote_after)}")
    if rule.decides:
        terminal.line(terminal.quiet("    as long as the `vrsky apply` runs that watches it"))


def _when(lease: Lease) -> str:
    return datetime.fromtimestamp(lease.since, UTC).isoformat(timespec="seconds")


def _show_one(terminal: Terminal, one: Revision, states: Sequence[NodeState], lease: Lease | None) -> None:
    by = f"{one.user} ({one.note})" if one.note else one.user
    terminal.line(f"{terminal.strong(safe(one.name))}  {one.revision or '-'}  {one.when}  {safe(by)}")
    if one.problem is not None:
        terminal.problems([one.problem])
    applied = sum(state.state == "applied" for state in states)
    terminal.line(f"  runs on {applied} of {counted(len(states), 'node')}")
    if lease is not None:
        who = safe(lease.node) if lease.node is not None else terminal.warning("nobody")
        terminal.line(f"  its source is read by {who}, lease of {_when(lease)}")
    _show_states(terminal, states)


def _show_states(terminal: Terminal, states: Sequence[NodeState]) -> None:
    for state in states:
        if state.state != "applied":
            paint = terminal.bad if state.state == "refused" else terminal.warning
            terminal.line(f"  {paint(state.state)}  {safe(state.node.id)}")
            outcome.show_refused(terminal, state.refused)
