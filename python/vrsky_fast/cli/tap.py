"""`vrsky tap`: the messages of a pipeline that runs, as they come in and after each step."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import aclosing
from pathlib import Path

import click

from ..control import tap
from ..control.tap import Record, Wanted
from . import content, exit_codes, nats, server_of
from .server_of import client_of
from .terminal import Terminal, moment, safe

_HELP = """The messages of CUSTOMER/PIPELINE while nodes run it: as they come in, after each step, and those that fail.

Nobody else notices: a node shows at most 500 records and 4 MiB a second, the first 16 KiB of a payload, and says how
many it has left out. Headers of messages are not shown. It ends with Ctrl-C.

\b
Examples:
  vrsky tap acme/orders
  vrsky tap acme/orders --failed --limit 1 --json
  vrsky tap acme/orders --step 1:filter --sample 1%
"""

_SHOWN = 400


def share(text: str) -> int:
    """`1%` or `0.05%` as a number of 10,000."""
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,2})?)%", text)
    shares = round(float(found[1]) * tap.SHARES / 100) if found else 0
    if not 1 <= shares <= tap.SHARES:
        raise click.BadParameter(f"{text!r} is no share; write 0.01% to 100%")
    return shares


@click.command(name="tap", help=_HELP)
@click.argument("whose", metavar="CUSTOMER/PIPELINE")
@click.option("--step", metavar="STEP", help="Only what this step gives, such as `1:filter`; `in` is what comes in.")
@click.option("--failed", is_flag=True, help="Only messages that become dead letters, with step and code.")
@click.option("--sample", default="100%", show_default=True, metavar="SHARE", type=share, help="Of all messages.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many records.")
@server_of.options
def command(
    whose: str,
    step: str | None,
    failed: bool,
    sample: int,
    limit: int | None,
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    if failed and step is not None:
        raise click.UsageError("--failed shows messages that fail at any step; leave --step out")
    customer, _, pipeline = whose.partition("/")
    wanted = Wanted(customer, pipeline, step, failed, sample)

    async def show() -> int:
        view = _View(as_json)
        async with client_of(server, data) as client, aclosing(tap.watch(client, wanted)) as records:
            async for record in records:
                view.show(record)
                if view.is_refused:
                    return exit_codes.ENVIRONMENT
                if limit is not None and view.shown >= limit:
                    return exit_codes.OK
        return exit_codes.OK

    try:
        return asyncio.run(show())
    except KeyboardInterrupt:
        return exit_codes.OK


class _View:
    """Writes records; `shown` is how many of messages there were."""

    def __init__(self, as_json: bool) -> None:
        self.shown = 0
        self.is_refused = False
        self._as_json = as_json
        self._is_heard = False
        self._terminal, self._beside = Terminal(sys.stdout), Terminal(sys.stderr)

    def show(self, record: Record) -> None:
        if record.dropped:
            self._beside.line(f"a node has left out {record.dropped:,} records; --sample and --step ask for fewer")
        if record.kind == "refused":
            self.is_refused = True
            self._beside.line(f"a node refuses: {safe(record.line.get('reason', ''))}")
        elif record.kind == "hello":
            # Each shard says so whenever it is asked again.
            if not self._is_heard:
                revision = safe(record.line.get("revision", ""))
                self._beside.line(f"watching; revision {revision}. Ctrl-C ends it.")
            self._is_heard = True
        elif record.kind != "dropped":
            self.shown += 1
            self._write(record)

    def _write(self, record: Record) -> None:
        terminal, line = self._terminal, record.line
        if self._as_json:
            terminal.line(json.dumps({**line, **content.as_json(record.payload), "cut": record.is_cut}))
            terminal.stream.flush()
            return
        became = line.get("verdict", "")
        if record.kind == "dead":
            place = f" ({line['place']})" if line.get("place") else ""
            became = f"dead letter: {line.get('code', '')}: {line.get('reason', '')}{place}"
        bad = record.kind == "dead" or became.startswith("failed")
        parts = [
            terminal.quiet(moment(int(line.get("time_ms", 0)))),
            terminal.quiet(safe(line.get("id", ""))),
            terminal.strong(safe(line.get("step", ""))),
            terminal.bad(safe(became)) if bad else safe(became),
            f"{int(line.get('bytes', 0)):,} B",
        ]
        terminal.line("  ".join(part for part in parts if part))
        terminal.line(f"    {content.beginning(record.payload, _SHOWN)}")
        terminal.stream.flush()
