"""The log of `vrsky run --log-format json`: one JSON object a line, for whoever collects the logs of many processes.

events, conditions, notes ──► of which code? ──► bounded by customer and code ──► one line each

It says what an operator may have to do something about. That a message came in, was filtered or was delivered is
counted (`--metrics`), and not logged. Lines hold codes, names, ids and places, and never a value of a message.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..config import PipelineFile
from ..node.engine import Changes
from ..node.events import Events
from ..node.reconcile import Finding
from ..node.waiting import Waiting
from . import waiting
from .choice import counted, for_whom
from .display import Paced
from .log import PacedOutput
from .stats import Health, Totals, ailing

# Of each customer and code, within an interval. What is beyond them is counted.
_LINES = 10
_INTERVAL_SECONDS = 60.0
# Customers and codes that are told apart; beyond them, all customers of a code are taken together.
_MAX_KEYS = 4_096
_MAX_TEXT = 2_000
_LEVELS = {
    "retried": "warning",
    "refused": "warning",
    "parking": "warning",
    "resumed": "info",
    "dead": "error",
    "lost": "error",
    "node": "warning",
}
"""Of events; the others are not logged."""
_CONSOLE_LEVELS = {"debug": "debug", "log": "info", "info": "info", "warn": "warning", "error": "error"}
"""Of what a script says, by the function of `console`."""

Key = tuple[str, str]
"""Customer and code."""


@dataclass(slots=True)
class _Count:
    """Of one key, in the interval that began then."""

    began: float
    lines: int = 0
    suppressed: int = 0
    level: str = "warning"


class Limiter:
    """Which lines are written. What it holds is bounded, whatever customers do."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[Key, _Count] = {}

    def admits(self, key: Key, level: str) -> bool:
        if key not in self._counts and len(self._counts) >= _MAX_KEYS:
            key = ("", key[1])
        count = self._counts.setdefault(key, _Count(self._clock()))
        count.level = level
        if count.lines < _LINES:
            count.lines += 1
            return True
        count.suppressed += 1
        return False

    def ended(self, everything: bool = False) -> list[tuple[Key, _Count]]:
        """The intervals that are over since the last call, of which something was suppressed."""
        now = self._clock()
        over = [
            (key, count) for key, count in self._counts.items() if everything or now - count.began >= _INTERVAL_SECONDS
        ]
        for key, _ in over:
            del self._counts[key]
        return [(key, count) for key, count in over if count.suppressed]


class JsonLog(Paced):
    """A Watcher."""

    def __init__(
        self,
        log: PacedOutput,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._log, self._now = log, now
        self._limiter = Limiter(clock)
        self._health, self._totals = Health(), Totals()

    def note(self, text: str) -> None:
        self._write("info", text)

    def ready(self, base: str | None, pipelines: Sequence[PipelineFile]) -> None:
        where = f", HTTP at {base}" if base else ""
        self._write("info", f"ready; {counted(len(pipelines), 'pipeline')}{where}")
        for one in pipelines:
            if one.summary.source.at_most_once:
                self._write("warning", "core NATS in is at most once", customer=one.customer, pipeline=one.pipeline)

    def changed(self, installed: Sequence[PipelineFile], removed: Sequence[tuple[str, str]]) -> None:
        for one in installed:
            text = f"installed, revision {one.summary.revision}"
            self._write("info", text, customer=one.customer, pipeline=one.pipeline)
        for customer, pipeline in removed:
            self._write("info", "removed", customer=customer, pipeline=pipeline)

    def left_out(self, findings: Sequence[Finding], total: int) -> None:
        for one in findings:
            names: dict[str, Any] = {"customer": one.goes_on[0], "pipeline": one.goes_on[1]} if one.goes_on else {}
            what = "its earlier revision goes on" if one.goes_on else "left out"
            for problem in one.problems:
                self._write("error", f"{problem.place}: {problem.reason}; {what}", code=problem.code, **names)

    def waiting(self, new: Sequence[Waiting], found: Sequence[Waiting]) -> None:
        for one in new:
            text = f"{counted(one.messages, 'message')} {for_whom(one.out)}: not served here; {waiting.HINT}"
            self._write("warning", text, customer=one.customer, pipeline=one.pipeline)

    def poll(self, changes: Changes, events: Events) -> None:
        for event in events:
            if event["kind"] == "console":
                self._said(event)
            elif level := _LEVELS.get(event["kind"]):
                self._event(level, event)
        self._conditions(self._health.changes(changes))
        self._totals.add(changes)
        self._suppressed(self._limiter.ended())

    def report(self, stats: list[dict[str, Any]]) -> None:
        found = list(ailing(stats))
        self._conditions(found)
        self._write("info", f"{counted(len(stats), 'pipeline')}, ins and outs that are not well: {len(found)}")

    def failed(self, code: str, text: str) -> None:
        """The run ends with this."""
        self._write("error", text, code=code)

    def end(self) -> None:
        self._log.drain()
        self.note_dropped()
        self._suppressed(self._limiter.ended(everything=True))
        counts = [f"{name} {count}" for name, count in self._totals.now.items() if count]
        self._write("info", "stopped" + "".join(f", {one}" for one in counts))

    def _said(self, event: dict[str, Any]) -> None:
        """The node has left out what is more than a customer may say."""
        said = event.get("why", "")
        level = _CONSOLE_LEVELS.get(said.partition(":")[0], "info")
        names = {"customer": event["customer"], "pipeline": event["pipeline"], "message_id": event["id"]}
        self._write(level, f"console: {event.get('step', '')}: {said}", at=event["time_ms"] / 1000, **names)

    def _event(self, level: str, event: dict[str, Any]) -> None:
        parts = [event["kind"], event.get("step", ""), event.get("why", "")]
        names = {"customer": event["customer"], "pipeline": event["pipeline"], "message_id": event["id"]}
        code = event.get("code") or f"event/{event['kind']}"
        if self._limiter.admits((event["customer"], code), level):
            text = ": ".join(part for part in parts if part)
            self._write(level, text, code=event.get("code"), at=event["time_ms"] / 1000, **names)

    def _conditions(self, conditions: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        for name, place, condition in conditions:
            customer, _, pipeline = name.partition("/")
            is_up = condition["state"] == "up"
            level, code = ("info", None) if is_up else ("warning", condition.get("code"))
            if self._limiter.admits((customer, code or "up"), level):
                text, at = f"{place}: {condition['state']}", condition["since_ms"] / 1000
                self._write(level, text, code=code, at=at, customer=customer, pipeline=pipeline)

    def _suppressed(self, ended: Iterable[tuple[Key, _Count]]) -> None:
        for (customer, code), count in ended:
            text = (
                f"{counted(count.suppressed, 'line')} of this customer and code left out in {_INTERVAL_SECONDS:.0f} s"
            )
            self._write(count.level, text, code=code, customer=customer, suppressed=count.suppressed)

    def _write(self, level: str, text: str, *, at: float | None = None, code: str | None = None, **more: Any) -> None:
        """What is empty is left out. In ASCII: no character is taken for a command, or for the end of a line."""
        moment = datetime.fromtimestamp(self._now() if at is None else at, UTC)
        line = {"time": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z", "level": level, "code": code}
        said = {name: value for name, value in (line | more).items() if value}
        self._log.write(json.dumps(said | {"text": text[:_MAX_TEXT]}) + "\n")
        self._log.flush()
