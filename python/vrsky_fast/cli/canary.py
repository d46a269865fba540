"""What `vrsky apply --canary` adds: changes that run beside what is there, and a watch that decides on them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import click
from nats.aio.client import Client

from ..config import InvalidConfig, PipelineFile, Problem
from ..config.share import OVER, WHOLE, Rule, percent
from ..config.stored import Canary, Stored, canary_problem, load_each
from ..control.buckets import PIPELINES, identity, name_of
from ..control.nodes import Figures, nodes
from ..control.revisions import Revision, last_of, write
from ..control.trial import Decision, Tally, as_json, decide, rate
from ..errors import ConfigError, VrskyError, error_for
from . import exit_codes
from .changes import Change
from .terminal import Terminal, safe

# Between two looks at the nodes' records, which are written every 4 s.
_LOOK_SECONDS = 2.0

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def share(text: str) -> int:
    """`5%` or `0.01%` in millionths."""
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,4})?) ?%", text)
    millionths = int(Decimal(found[1]) * 10_000) if found else 0
    if not 1 <= millionths <= WHOLE:
        raise click.BadParameter(f"{text!r} is no share; write 0.0001% to 100%")
    return millionths


def rate_above(text: str) -> int:
    """The same, 0% included."""
    return 0 if re.fullmatch(r"0(?:\.0+)? ?%", text) else share(text)


def duration(text: str) -> int:
    """`90s`, `10m`, `2h` or `1d` in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if not found:
        raise click.BadParameter(f"{text!r} is no duration; write 90s, 10m, 2h or 1d")
    return int(found[1]) * _SECONDS[found[2]]


def options(function: Callable[..., int]) -> Callable[..., int]:
    """Adds --canary and what it is decided by, as `millionths` and `rule`'s parts."""
    added: list[Callable[[Any], Any]] = [
        click.option(
            "--canary",
            "millionths",
            metavar="SHARE",
            type=share,
            help="Run what changes beside what is there, for this share of the messages, such as 5%.",
        ),
        click.option(
            "--abort-above",
            metavar="SHARE",
            type=rate_above,
            help="Watch the canary, and roll it back when more of its messages fail, such as 1%.",
        ),
        click.option(
            "--over",
            metavar="N",
            type=click.IntRange(1),
            default=OVER,
            show_default=True,
            help="Messages that the canary has to have run before its rate counts.",
        ),
        click.option(
            "--promote-after",
            metavar="DURATION",
            type=duration,
            help="Watch the canary, and promote it when it has stayed below for so long, such as 10m.",
        ),
    ]
    for option in reversed(added):
        function = option(function)
    return function


def rule_of(millionths: int | None, abort_above: int | None, over: int, promote_after: int | None) -> Rule:
    """Raises UsageError for what makes no sense without a canary."""
    rule = Rule(abort_above, over, promote_after)
    if rule.decides and millionths is None:
        raise click.UsageError("--abort-above and --promote-after are about a canary; add --canary SHARE")
    return rule


def beside(changes: Sequence[Change], loaded: Mapping[str, PipelineFile], millionths: int, rule: Rule) -> list[Change]:
    """The changes as canaries of what is there. Raises InvalidConfig where one cannot be: it is new, or changes more
    than its steps."""
    problems: list[Problem] = []
    found = [_beside(one, loaded[one.key], millionths, rule, problems) for one in changes]
    if problems:
        raise InvalidConfig(problems)
    return found


def _beside(one: Change, file: PipelineFile, millionths: int, rule: Rule, problems: list[Problem]) -> Change:
    if one.kind == "unchanged":
        return one
    active = None if one.before is None else one.before.stored
    if active is None or one.stored is None:
        reason = f"{one.name} is not in the bucket: a canary needs a revision beside which it runs"
        problems.append(file.problem("config/canary", reason, "/pipeline", "Apply it without --canary first."))
        return one
    (there,) = load_each([(one.key, active.alone().encode())])
    if isinstance(there.file, InvalidConfig):
        problems += there.file.problems
    elif (problem := canary_problem(there.file, file)) is not None:
        problems.append(problem)
    stored = replace(active.alone(), canary=Canary(millionths, one.stored, rule))
    if stored.is_as(active):
        return Change(one.key, "unchanged", active, one.before)
    return Change(one.key, "canary", stored, one.before)


def refusal_of(change: Change) -> ConfigError | None:
    """Why a change without --canary is not written: a canary decides first."""
    before = None if change.before is None else change.before.stored
    if change.kind != "changed" or before is None or before.canary is None:
        return None
    canary = before.canary
    reason = (
        f"{change.name} has a canary, {canary.stored.revision} for {percent(canary.millionths)}: first"
        f" `vrsky promote {change.name}` or `vrsky rollback {change.name}`"
    )
    error = error_for("config/canary", reason)
    return error if isinstance(error, ConfigError) else None


@dataclass(frozen=True)
class Decided:
    """How the watch of a canary has ended. `wait`: somebody else has changed the pipeline meanwhile, as `why` says.
    `sequence` is that of what was written for it."""

    key: str
    decision: Decision
    why: str
    figures: Figures
    sequence: int | None = None

    @property
    def exit_code(self) -> int:
        return {"promote": exit_codes.OK, "undecided": exit_codes.ENVIRONMENT}.get(self.decision, exit_codes.FINDINGS)

    def as_json(self) -> dict[str, Any]:
        customer, _, pipeline = self.key.partition(".")
        decision = {"abort": "aborted", "promote": "promoted", "wait": "changed meanwhile"}
        return {
            "customer": customer,
            "pipeline": pipeline,
            "canary": self.figures.revision,
            "decision": decision.get(self.decision, self.decision),
            "reason": self.why,
            "runs": as_json(self.figures),
            "sequence": self.sequence,
        }


async def watched(client: Client, sequences: Mapping[str, int], author: tuple[str, str]) -> list[Decided]:
    """Decides on the canaries that stand under keys, each by its own rule, once they are written under these sequences.
    Returns when all are decided. `author`: user and note of what it writes. Raises NatsError."""
    return list(await asyncio.gather(*(_watch(client, key, last, author) for key, last in sorted(sequences.items()))))


async def _watch(client: Client, key: str, sequence: int, author: tuple[str, str]) -> Decided:
    revision = await last_of(client, key)
    canary = None if revision is None or revision.stored is None else revision.stored.canary
    if revision is None or revision.sequence != sequence or canary is None:
        return Decided(key, "wait", _changed(revision), Figures("", 0, 0, 0, 0))
    bucket, tally = await identity(client, PIPELINES), Tally(key, canary.stored.revision)
    while True:
        tally.take(await nodes(client), bucket, sequence)
        figures, seconds = tally.figures(), tally.clock - revision.time
        decision, why = decide(canary.rule, figures, seconds, tally.refused is not None)
        if decision in {"abort", "promote"}:
            return await write_decision(client, revision, canary, Decided(key, decision, why, figures), author)
        if decision == "undecided":
            return Decided(key, decision, why, figures)
        there = await last_of(client, key)
        if there is None or there.sequence != sequence:
            return Decided(key, "wait", _changed(there), figures)
        await asyncio.sleep(_LOOK_SECONDS)


async def write_decision(
    client: Client, revision: Revision, canary: Canary, decided: Decided, author: tuple[str, str]
) -> Decided:
    """Writes an `abort` or a `promote`, only where the key still holds `revision`. `author`: user and note. Raises
    NatsError."""
    assert revision.stored is not None
    user, note = author
    stored: Stored = canary.stored if decided.decision == "promote" else revision.stored.alone()
    word = "promoted" if decided.decision == "promote" else "aborted"
    said = f"canary {canary.stored.revision} {word}: {decided.why}; {note}"
    try:
        return replace(decided, sequence=await write(client, stored.by(user, said), revision.sequence))
    except VrskyError as error:
        if error.code != "config/changed-meanwhile":
            raise
        return replace(decided, decision="wait", why=error.reason)


def _changed(there: Revision | None) -> str:
    if there is None:
        return "the pipeline is in the bucket no more"
    return f"{there.user or 'somebody'} has changed it at {there.when}"


def show(terminal: Terminal, decided: Sequence[Decided]) -> None:
    words = {
        "promote": terminal.good("promoted "),
        "abort": terminal.bad("aborted  "),
        "undecided": terminal.warning("undecided"),
        "wait": terminal.warning("changed  "),
    }
    for one in decided:
        figures = one.figures
        canary = f"canary {figures.revision}: {one.why}" if figures.revision else one.why
        active = rate(figures.active_failed, figures.active_messages)
        terminal.line(
            f"{words[one.decision]}  {terminal.strong(safe(name_of(one.key)))}  {safe(canary)}; active: {active}"
        )
        if one.decision == "undecided":
            name = safe(name_of(one.key))
            terminal.line(f"    it stays: `vrsky promote {name}`, `vrsky rollback {name}`, or the same command later")
