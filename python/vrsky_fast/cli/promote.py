"""`vrsky promote`: make the canary of a pipeline its active revision."""

from __future__ import annotations

import sys

import click

from ..config.share import percent
from ..errors import error_for
from . import bucket, exit_codes, nats
from .changes import Change, show
from .put_back import history, put_back
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
    now = history(server, bucket.key_of(pipeline))[-1]
    canary = None if now.stored is None else now.stored.canary
    if canary is None:
        raise error_for("config/canary", f"{now.name} has no canary that could be promoted")
    terminal = Terminal(sys.stdout)
    if not as_json:
        show(terminal, [Change(now.key, "changed", canary.stored, now)])
    question = f"Run all messages by revision {canary.stored.revision}, and not only {percent(canary.millionths)}?"
    if not yes and not agrees(question, "promotes", "promoted"):
        return exit_codes.OK
    why = note or f"canary {canary.stored.revision} promoted"
    return put_back(server, canary.stored, now, why, seconds, terminal, as_json)
