"""What `vrsky run` shows: what came in, what was filtered and why, what went out, what failed, and a
live line of rates. On a terminal the line is rewritten in place; elsewhere it is a plain line now and
then. `--json` gives the same as one JSON object a line."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..config import PipelineFile
from ..config.summary import Connector
from ..node.engine import Changes
from ..node.events import Events
from ..node.reconcile import Finding
from ..node.waiting import Waiting
from . import waiting
from .log import PacedOutput
from .stats import Health, Rates, Totals, ailing, key_of
from .terminal import Terminal, safe

# More lines than this at once nobody reads; the counters still count them.
_LINES_AT_ONCE = 20
_PLAIN_SECONDS = 5.0
# Enough to find it again in what `--json` and `vrsky dlq ls --json` say, which have all of it.
_ID_SHOWN = 12
_SHOWN = ("received", "filtered", "delivered", "retried", "parked", "dead", "refused")
_ALWAYS = _SHOWN[:3]
_WORDS = {
    "received": "in",
    "filtered": "filtered",
    "delivered": "out",
    "retried": "retry",
    "parked": "parked",
    "parking": "parking",
    "resumed": "resumed",
    "dead": "dead",
    "lost": "lost",
    "refused": "refused",
    "console": "console",
    "node": "node",
}


class Paced(ABC):
    """What all displays do about a reader that is slow."""

    _log: PacedOutput

    @abstractmethod
    def note(self, text: str) -> None: ...

    def is_behind(self) -> bool:
        self.note_dropped()
        return self._log.is_behind()

    def drain_at_once(self) -> None:
        self._log.drain_at_once()

    def note_dropped(self) -> None:
        """Once the reader is back."""
        if dropped := self._log.dropped():
            self.note(f"lines that nobody read in time are left out here: {dropped:,}")


class Display(Paced):
    """The Watcher of `vrsky run` for people."""

    def __init__(
        self,
        log: PacedOutput,
        files: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self.terminal = Terminal(log)
        self._files = files
        self._totals = Totals()
        self._rates = Rates(clock)
        self._health = Health()
        self._clock = clock
        self._last_plain = clock()
        self._last_totals: dict[str, int] = {}
        self._left_out = 0
        self._waiting: Sequence[Waiting] = ()
        self._base: str | None = None

    def note(self, text: str) -> None:
        self.terminal.line(self.terminal.quiet(safe(text)))

    def ready(self, base: str | None, pipelines: Sequence[PipelineFile]) -> None:
        self._base = base
        self._list(pipelines)
        self.terminal.line(self.terminal.good("ready") + "; Ctrl-C drains and stops")

    def changed(self, installed: Sequence[PipelineFile], removed: Sequence[tuple[str, str]]) -> None:
        self._list(installed)
        for customer, pipeline in removed[:_LINES_AT_ONCE]:
            self.terminal.line(f"{self.terminal.strong(f'{customer}/{pipeline}')}  removed")
        self._and_more(len(removed))

    def left_out(self, findings: Sequence[Finding], total: int) -> None:
        self._left_out = total
        for one in findings[:_LINES_AT_ONCE]:
            self.terminal.problems(one.problems)
            what = f"{'/'.join(one.goes_on)} goes on as it was" if one.goes_on else "left out"
            self.terminal.line(f"{self.terminal.warning('not served')}  {safe(one.path)}: {what}")
        self._and_more(len(findings))

    def waiting(self, new: Sequence[Waiting], found: Sequence[Waiting]) -> None:
        self._waiting = found
        for one in new[:_LINES_AT_ONCE]:
            self.terminal.line(waiting.line(self.terminal, one))
        self._and_more(len(new))
        if new:
            self.note(waiting.HINT)

    def _list(self, pipelines: Sequence[PipelineFile]) -> None:
        for one in pipelines[:_LINES_AT_ONCE]:
            where = _source(one.summary.source, self._base)
            self.terminal.line(f"{self.terminal.strong(one.name)}  {safe(where)}")
            if one.summary.source.at_most_once:
                self.note(f"{one.name}: core NATS in is at most once")
            for out in one.summary.outs:
                self.terminal.line(f"  to {safe(out.name)}  {safe(self._target(one.customer, out))}")
        self._and_more(len(pipelines))

    def _and_more(self, lines: int) -> None:
        if lines > _LINES_AT_ONCE:
            self.terminal.line(self.terminal.quiet(f"... and {lines - _LINES_AT_ONCE} more"))

    def _target(self, customer: str, out: Connector) -> str:
        """Where an out writes, as people would look for it."""
        return out.where if out.file is None else str(self._files / customer / out.file)

    def poll(self, changes: Changes, events: Events) -> None:
        for event in events.first(_LINES_AT_ONCE):
            self.terminal.line(self.event(event))
        self._and_more(len(events))
        for news in self._health.changes(changes):
            self.terminal.line(self._condition(*news))
        self._totals.add(changes)
        self._rates.update(self._totals.now)
        if self.terminal.redraws:
            self.terminal.live(self._rate_line())
        elif self._totals.now != self._last_totals and self._clock() - self._last_plain >= _PLAIN_SECONDS:
            self._last_plain, self._last_totals = self._clock(), dict(self._totals.now)
            self.terminal.line(self._rate_line())

    def report(self, stats: list[dict[str, Any]]) -> None:
        found = list(ailing(stats))
        self.terminal.line(self._rate_line())
        for one in found:
            self.terminal.line(self._condition(*one))
        self.terminal.line(f"pipelines: {len(stats):,}; ins and outs that are not well: {len(found):,}")

    def event(self, event: dict[str, Any]) -> str:
        kind = event["kind"]
        word = f"{_WORDS.get(kind, kind):<9}"
        paint = {
            "delivered": self.terminal.good,
            "dead": self.terminal.bad,
            "lost": self.terminal.bad,
            "retried": self.terminal.warning,
            "parking": self.terminal.warning,
            "resumed": self.terminal.good,
            "refused": self.terminal.warning,
        }
        parts = [self._when(event["time_ms"]), paint.get(kind, str)(word)]
        if event.get("customer"):
            parts.append(safe(f"{event['customer']}/{event['pipeline']}"))
        if event.get("id"):
            parts.append(self.terminal.quiet(safe(_short(event["id"]))))
        if event.get("step"):
            parts.append(safe(("to " if kind == "delivered" else "by ") + event["step"]))
        if event.get("bytes"):
            parts.append(f"{event['bytes']} B")
        if event.get("code"):
            parts.append(safe(event["code"]))
        if event.get("why"):
            parts.append(safe(event["why"]))
        return "  ".join(parts)

    def _when(self, time_ms: int) -> str:
        return self.terminal.quiet(datetime.fromtimestamp(time_ms / 1000).strftime("%H:%M:%S.%f")[:-3])

    def _condition(self, pipeline: str, place: str, condition: dict[str, Any]) -> str:
        """An in or out that fails, or works again."""
        is_up = condition["state"] == "up"
        word = (self.terminal.good if is_up else self.terminal.warning)(f"{condition['state']:<9}")
        parts = [self._when(condition["since_ms"]), word, safe(pipeline), safe(place)]
        return "  ".join(parts + ([] if is_up else [safe(condition["code"])]))

    def end(self) -> None:
        self._log.drain()
        self.note_dropped()
        self.terminal.end_live()
        totals = self._totals.now
        shown = [name for name in _SHOWN if name in _ALWAYS or totals.get(name)]
        left = f", {self._left_out:,} files left out" if self._left_out else ""
        left += waiting.summary(self._waiting)
        self.terminal.line("stopped: " + ", ".join(f"{totals.get(name, 0):,} {_WORDS[name]}" for name in shown) + left)

    def _rate_line(self) -> str:
        totals = self._totals.now
        parts = [f"{_WORDS[name]} {self._rates[name]:,.0f}/s ({totals.get(name, 0):,})" for name in _ALWAYS]
        parts += [f"{_WORDS[name]} {totals[name]:,}" for name in _SHOWN if name not in _ALWAYS and totals.get(name)]
        return "  ".join(parts)


def _short(message_id: str) -> str:
    """The part that tells messages of one customer apart: ids begin with the customer's name and a dot."""
    return (message_id.partition(".")[2] or message_id)[:_ID_SHOWN]


def _source(source: Connector, base: str | None) -> str:
    """Where an in takes its messages from."""
    return source.where if source.address is None else f"POST {base or ''}{source.address}"


class JsonDisplay(Paced):
    """The same for programs: every event, and at most once a second the stats that have changed since the last line of
    stats. Before the end come the last ones."""

    def __init__(self, log: PacedOutput, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._left_out = self._left_out_before = 0
        self._waiting: Sequence[Waiting] = ()
        self._is_waiting_new = False
        # What no line has said yet.
        self._changed: dict[tuple[str, str], dict[str, Any]] = {}
        self._removed: dict[tuple[str, str], None] = {}
        self._next = clock()

    def note(self, text: str) -> None:
        self._write({"kind": "note", "text": text})

    def ready(self, base: str | None, pipelines: Sequence[PipelineFile]) -> None:
        names = [{"customer": one.customer, "pipeline": one.pipeline} for one in pipelines]
        for one in pipelines:
            if one.summary.source.at_most_once:
                self.note(f"{one.name}: core NATS in is at most once")
        self._write({"kind": "ready", "address": base, "pipelines": names})

    def changed(self, installed: Sequence[PipelineFile], removed: Sequence[tuple[str, str]]) -> None:
        for one in installed:
            names = {"customer": one.customer, "pipeline": one.pipeline}
            self._write({"kind": "installed", **names, "revision": one.summary.revision})
        for customer, pipeline in removed:
            self._write({"kind": "removed", "customer": customer, "pipeline": pipeline})

    def left_out(self, findings: Sequence[Finding], total: int) -> None:
        self._left_out = total
        for one in findings:
            self._write({"kind": "not-served", **one.as_json()})

    def waiting(self, new: Sequence[Waiting], found: Sequence[Waiting]) -> None:
        self._waiting, self._is_waiting_new = found, True
        for one in new:
            self._write({"kind": "waiting", **one.as_json()})

    def poll(self, changes: Changes, events: Events) -> None:
        if events:
            self._log.write(events.as_lines)
            self._log.flush()
        for key in changes.removed:
            self._changed.pop(key, None)
            self._removed[key] = None
        for row in changes.changed:
            self._removed.pop(key_of(row), None)
            self._changed[key_of(row)] = row
        if self._clock() >= self._next:
            self._write_changes()

    def report(self, stats: list[dict[str, Any]]) -> None:
        self._write_stats(stats, [], everything=True)

    def _write_changes(self) -> None:
        is_new = self._is_waiting_new or self._left_out != self._left_out_before
        if self._changed or self._removed or is_new:
            self._write_stats(list(self._changed.values()), list(self._removed))

    def _write_stats(
        self, pipelines: list[dict[str, Any]], removed: list[tuple[str, str]], everything: bool = False
    ) -> None:
        names = [{"customer": customer, "pipeline": pipeline} for customer, pipeline in removed]
        self._changed, self._removed = {}, {}
        self._left_out_before, self._is_waiting_new = self._left_out, False
        self._next = self._clock() + 1.0
        said = {"kind": "stats", "all": everything, "pipelines": pipelines, "removed": names}
        self._write(said | {"left_out": self._left_out} | waiting.in_stats(self._waiting))

    def end(self) -> None:
        self._log.drain()
        self.note_dropped()
        self._write_changes()
        self._write({"kind": "stopped", "left_out": self._left_out, "waiting": waiting.total(self._waiting)})

    def _write(self, value: dict[str, Any]) -> None:
        self._log.write(json.dumps(value) + "\n")
        self._log.flush()
