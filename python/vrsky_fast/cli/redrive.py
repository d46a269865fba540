"""`vrsky dlq redrive`: send dead letters again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import click
from nats.aio.client import Client

from .. import config
from ..control import dead_letters
from ..control.dead_letters import EVERYTHING, Wanted
from ..control.redrive.send import Redrive, Report
from ..control.served import Served, Serving
from . import choice, exit_codes, nats, server_of, variables
from .choice import SEQUENCE, counted, described
from .server_of import agrees, client_of, known
from .terminal import Terminal, safe

_SHOWN = 20

_HELP = """Send dead letters again: by their numbers, or all that the options pick.

A whole message goes to the start of its pipeline, or to the out that failed; a part of a split goes to the step
where it failed. It keeps its id, so that a sink sees the Idempotency-Key that it has seen before. A letter is deleted
when the stream it goes to has it; one that cannot be sent stays, with the reason.

\b
Examples:
  vrsky dlq redrive 17 18
  vrsky dlq redrive --all --dry-run
  vrsky dlq redrive --customer acme --code http --step out:erp --rate 20
  vrsky dlq redrive --all --older-than 1h --yes
"""


@click.command(name="redrive", help=_HELP, short_help="Send dead letters again.")
@click.argument("sequences", metavar="[SEQUENCE]...", nargs=-1, type=SEQUENCE)
@click.option("--all", "everything", is_flag=True, help="All that the other options pick.")
@choice.options
@click.option("--dry-run", "only_plan", is_flag=True, help="Say where each would go, and send nothing.")
@click.option(
    "--rate", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many a second."
)
@click.option(
    "--pipelines",
    "path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The pipeline files, where they are not those of the last run on the data folder.",
)
@variables.option
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_of.options
def command(
    sequences: tuple[int, ...],
    everything: bool,
    wanted: Wanted,
    only_plan: bool,
    rate: int,
    path: Path | None,
    given: dict[str, str],
    yes: bool,
    server: nats.Server,
    data: Path,
    as_json: bool,
) -> int:
    numbers = list(dict.fromkeys(sequences))
    if bool(numbers) == (everything or wanted != EVERYTHING):
        raise click.UsageError("name the dead letters: by SEQUENCE, by what they are, such as --code http, or --all")
    _ = wanted.subject
    serving = known(server, data) if path is None else _serving(path, given)
    question = f"Send {counted(len(numbers)) if numbers else described(wanted)} again?"
    if not (only_plan or yes or agrees(question, "sends", "sent")):
        return exit_codes.OK

    async def work() -> Report:
        async with client_of(server, data) as client:
            redrive = Redrive(client, serving, rate, _doubts)
            chosen = _chosen(client, numbers, wanted)
            return await (redrive.plan(chosen) if only_plan else redrive.run(chosen))

    report = asyncio.run(work())
    (_print_json if as_json else _print)(report, only_plan)
    if report.left:
        return exit_codes.ENVIRONMENT
    return exit_codes.OK if report.is_well else exit_codes.FINDINGS


def _serving(path: Path, given: dict[str, str]) -> Serving:
    """Raises InvalidConfig."""
    return Serving.of(Served.of(one.summary) for one in config.load_all(path, given))


async def _chosen(client: Client, numbers: list[int], wanted: Wanted) -> AsyncGenerator[int]:
    for number in numbers:
        yield number
    if not numbers:
        async for letter in dead_letters.oldest_first(client, wanted):
            yield letter.sequence


def _doubts(doubtful: list[int]) -> None:
    shown = ", ".join(map(str, doubtful[:_SHOWN]))
    more = f" and {len(doubtful) - _SHOWN} more" if len(doubtful) > _SHOWN else ""
    said = f"another redrive ended, or is at work, with {shown}{more} in hand: those may be delivered twice"
    Terminal(sys.stderr).line(f"{said}, under the same Idempotency-Key")


def _print(report: Report, only_plan: bool) -> None:
    terminal, errors = Terminal(sys.stdout), Terminal(sys.stderr)
    for number in report.missing:
        errors.line(f"there is no dead letter {number}; `vrsky dlq ls` lists them")
    for refused in report.refused:
        errors.line(f"{refused.sequence:>6}  {errors.bad('stays')}  {safe(refused.reason)}. {safe(refused.hint)}")
    if only_plan:
        for one in report.sent:
            _, _, _, _, customer, pipeline, _ = one.subject.split(".")
            terminal.line(f"{one.sequence:>6}  {safe(customer)}/{safe(pipeline)}  to {safe(one.to)}")
    terminal.line(f"{'would send' if only_plan else 'sent'} {counted(len(report.sent))}")
    if report.left:
        errors.line(f"{report.left}; the others stay. Run it again when there is room")


def _print_json(report: Report, only_plan: bool) -> None:
    said = {
        "sent": 0 if only_plan else len(report.sent),
        "refused": [one.as_json() for one in report.refused],
        "missing": report.missing,
        "doubtful": report.doubtful,
        "left": report.left,
    }
    if only_plan:
        said["planned"] = [{"sequence": one.sequence, "to": one.to, "subject": one.subject} for one in report.sent]
    Terminal(sys.stdout).line(json.dumps(said))
