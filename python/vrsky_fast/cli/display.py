"""What `vrsky run` shows: what came in, what was filtered and why, what went out, what failed, and a
live line of rates. On a terminal the line is rewritten in place; elsewhere it is a plain line now and
then. `--json` gives the same as one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..config import PipelineFile
from ..config.summary import Connector
from ..node.reconcile import Finding
from ..node.waiting import Waiting
from . import waiting
from .terminal import Output, Terminal, safe

# More lines than this at once nobody reads; the counters still count them.
_LINES_AT_ONCE = 20
_PLAIN_SECONDS = 5.0
# Enough to find it again; `--json` and `vrsky dlq` have all of it.
_ID_SHOWN = 12
_RATES = ("received", "filtered", "delivered", "retried", "parked", "dead", "refused")
_ALWAYS = _RATES[:3]
_WORDS = {
    "received": "in",
    "filtered": "filtered",
    "delivered": "out",
    "retried": "retry",
    "parked": "parked",
    "parking": "parking",
    "resumed": "resumed",
    "dead": "dead",
    "refused": "refused",
    "node": "node",
}


class Display:
    """The Watcher of `vrsky run` for people."""

    def __init__(
        self,
        terminal: Terminal,
        files: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.terminal = terminal
        self._files = files
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
            if one.summary.source.jetstream is None and one.summary.source.address is None:
                self.note(f"{one.name}: core NATS in is at most once")
            for out in one.summary.outs:
                self.terminal.line(f"  to {safe(out.name)}  {safe(self._target(one.customer, out))}")
        self._and_more(len(pipelines))

    def _and_more(self, lines: int) -> None:
        if lines > _LINES_AT_ONCE:
            self.terminal.line(self.terminal.quiet(f"... and {lines - _LINES_AT_ONCE} more"))

    def _target(self, customer: str, out: Connector) -> str:
        """Where an out writes, as people would look for it."""
        match out.kind:
            case "http":
                return f"{out.options.get('method', 'POST')} {out.options['url']}"
            case "file":
                return str(self._files / customer / out.options["path"])
            case "nats":
                return f"NATS {out.options['subject']}"
            case _:
                return out.kind

    def poll(self, stats: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        for event in events[:_LINES_AT_ONCE]:
            self.terminal.line(self.event(event))
        self._and_more(len(events))
        for change in self._health.changes(stats):
            self.terminal.line(self._condition(*change))
        totals = add_up(stats)
        rates = self._rates.of(totals)
        if self.terminal.redraws:
            self.terminal.live(self._rate_line(totals, rates))
        elif totals != self._last_totals and self._clock() - self._last_plain >= _PLAIN_SECONDS:
            self._last_plain, self._last_totals = self._clock(), totals
            self.terminal.line(self._rate_line(totals, rates))

    def event(self, event: dict[str, Any]) -> str:
        kind = event["kind"]
        word = f"{_WORDS.get(kind, kind):<9}"
        paint = {
            "delivered": self.terminal.good,
            "dead": self.terminal.bad,
            "retried": self.terminal.warning,
            "parking": self.terminal.warning,
            "resumed": self.terminal.good,
            "refused": self.terminal.warning,
        }
        parts = [self._when(event["time_ms"]), paint.get(kind, str)(word)]
        if event.get("customer"):
            parts.append(safe(f"{event['customer']}/{event['pipeline']}"))
        if event.get("id"):
            parts.append(self.terminal.quiet(safe(event["id"][:_ID_SHOWN])))
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
        self.terminal.end_live()
        totals = self._rates.last
        shown = [name for name in _RATES if name in _ALWAYS or totals.get(name)]
        left = f", {self._left_out:,} files left out" if self._left_out else ""
        left += waiting.summary(self._waiting)
        self.terminal.line("stopped: " + ", ".join(f"{totals.get(name, 0):,} {_WORDS[name]}" for name in shown) + left)

    def _rate_line(self, totals: dict[str, int], rates: dict[str, float]) -> str:
        parts = [f"{_WORDS[name]} {rates[name]:,.0f}/s ({totals.get(name, 0):,})" for name in _ALWAYS]
        parts += [f"{_WORDS[name]} {totals[name]:,}" for name in _RATES if name not in _ALWAYS and totals.get(name)]
        return "  ".join(parts)


def _source(source: Connector, base: str | None) -> str:
    """Where an in takes its messages from."""
    if source.address is not None:
        return f"POST {base or ''}{source.address}"
    return f"NATS {source.options['subject']}"


class Health:
    """How ins and outs were when they were last looked at. What starts well is no news."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[str, str | None]] = {}

    def changes(self, stats: list[dict[str, Any]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        for one in stats:
            pipeline = f"{one['customer']}/{one['pipeline']}"
            places = {"in": one["in"]} if "in" in one else {}
            places |= {f"out {name}": condition for name, condition in one.get("outs", {}).items()}
            for place, condition in places.items():
                now = condition["state"], condition.get("code")
                before = self._last.get((pipeline, place), ("up", None))
                self._last[pipeline, place] = now
                if now != before:
                    yield pipeline, place, condition


class JsonDisplay:
    """The same for programs: every event, and the totals at most once a second, when they have changed."""

    def __init__(self, stream: Output) -> None:
        self._stream = stream
        self._left_out = 0
        self._waiting: Sequence[Waiting] = ()
        self._is_waiting_new = False
        self._last: list[dict[str, Any]] = []
        self._next = 0.0

    def note(self, text: str) -> None:
        self._write({"kind": "note", "text": text})

    def ready(self, base: str | None, pipelines: Sequence[PipelineFile]) -> None:
        names = [{"customer": one.customer, "pipeline": one.pipeline} for one in pipelines]
        for one in pipelines:
            if one.summary.source.jetstream is None and one.summary.source.address is None:
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
            problems = [problem.as_json() for problem in one.problems]
            goes_on = {"customer": one.goes_on[0], "pipeline": one.goes_on[1]} if one.goes_on else None
            self._write({"kind": "not-served", "file": one.path, "goes_on": goes_on, "problems": problems})

    def waiting(self, new: Sequence[Waiting], found: Sequence[Waiting]) -> None:
        self._waiting, self._is_waiting_new = found, True
        for one in new:
            self._write({"kind": "waiting", **one.as_json()})

    def poll(self, stats: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
        for event in events:
            self._write(event)
        if (stats != self._last or self._is_waiting_new) and time.monotonic() >= self._next:
            self._last, self._next = stats, time.monotonic() + 1.0
            self._is_waiting_new = False
            more = waiting.in_stats(self._waiting)
            self._write({"kind": "stats", "pipelines": stats, "left_out": self._left_out, **more})

    def end(self) -> None:
        self._write({"kind": "stopped", "left_out": self._left_out})

    def _write(self, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps(value) + "\n")
        self._stream.flush()


class Rates:
    """Counts per second over the last second or so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._base: dict[str, int] = {}
        self._rates = dict.fromkeys(_RATES, 0.0)
        self.last: dict[str, int] = {}

    def of(self, totals: dict[str, int]) -> dict[str, float]:
        self.last = totals
        elapsed = self._clock() - self._since
        if elapsed >= 1.0:
            self._rates = {name: (totals.get(name, 0) - self._base.get(name, 0)) / elapsed for name in _RATES}
            self._base, self._since = totals, self._clock()
        return self._rates


def add_up(stats: list[dict[str, Any]]) -> dict[str, int]:
    """The counters of all pipelines together."""
    totals: dict[str, int] = {}
    for one in stats:
        for name, value in one.items():
            if isinstance(value, int):
                totals[name] = totals.get(name, 0) + value
    return totals
