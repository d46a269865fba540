"""`vrsky rollback`: put an earlier revision of a pipeline back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ..config.stored import Stored
from ..control.revisions import Revision
from ..errors import error_for
from . import bucket, exit_codes, nats
from .changes import Change, show
from .put_back import history, put_back
from .server_of import agrees
from .terminal import Terminal

_HELP = """Put an earlier revision of a pipeline back into the KV bucket vrsky_pipelines, and wait until nodes run it.

Without --to it takes the canary away where there is one, so that the active revision runs all messages again; else it
puts the revision before the one that is there, of a deleted pipeline the last one. The old document is written again as
it was, so that files, scripts and variables of that time are not needed. `vrsky history` lists what there is.

\b
Examples:
  vrsky rollback acme/orders --nats nats://nats:4222
  vrsky rollback acme/orders --to 3f9a0c1d2e4b5a68 --yes --note 'wrong prices'
"""


@click.command(name="rollback", help=_HELP)
@click.argument("pipeline", metavar="CUSTOMER/PIPELINE")
@bucket.options
@bucket.writing("Write")
@click.option("--to", "revision", metavar="REVISION", help="A revision of `vrsky history`, or how it begins.")
def command(
    pipeline: str, server: nats.Server, yes: bool, seconds: float, note: str, revision: str | None, as_json: bool
) -> int:
    found = history(server, bucket.key_of(pipeline))
    stored = chosen(found, revision)
    terminal, now = Terminal(sys.stdout), found[-1]
    if not as_json:
        if now.canary is not None:
            terminal.line(f"{terminal.bad('takes away')}  the canary {now.canary.stored.revision}")
        show(terminal, [Change(now.key, "added" if now.is_deleted else "changed", stored, now)])
    if not yes and not agrees(f"Put revision {stored.revision} back?", "writes", "written"):
        return exit_codes.OK
    why = note or f"rollback to {stored.revision}"
    return put_back(server, stored, now, why, seconds, terminal, as_json)


def chosen(found: Sequence[Revision], revision: str | None) -> Stored:
    """Of a history, the oldest first: the last one that begins with `revision`, or that is not what is there; what is
    there without its canary, if it has one. Raises ConfigError."""
    there, now = found[-1].revision, found[-1].stored
    if revision is None and now is not None and now.canary is not None:
        return now.alone()
    earlier = [one.stored for one in found if one.stored is not None]
    if revision is None:
        fit = [one for one in earlier if one.revision != there]
        why = f"{found[-1].name} has no other revision in its history"
    else:
        fit = [one for one in earlier if revision and one.revision.startswith(revision)]
        why = f"{found[-1].name} has no revision {revision[:64]} in its history"
        if len({one.revision for one in fit}) > 1:
            raise error_for("config/unknown-pipeline", f"several revisions begin with {revision[:64]}")
    if not fit:
        raise error_for("config/unknown-pipeline", why)
    return fit[-1].alone()
