"""What the stats of pipelines come to: totals, rates, and which ins and outs are not well. Each poll brings the
pipelines that have changed, and only those are looked at here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..facts import COUNTERS
from ..node.engine import Changes

Condition = tuple[str, str, dict[str, Any]]
"""Pipeline, place, and how it is there."""


def key_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["customer"], row["pipeline"]


class Totals:
    """All pipelines together since the start. What a removed pipeline has counted until the last poll stays in; it
    begins at 0 when it is installed again."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self._counted: dict[tuple[str, str], dict[str, int]] = {}

    def add(self, changes: Changes) -> None:
        for key in changes.removed:
            self._counted.pop(key, None)
        for row in changes.changed:
            counted = {name: row[name] for name in COUNTERS if name in row}
            before = self._counted.get(key_of(row), {})
            if any(counted.get(name, 0) < value for name, value in before.items()):
                before = {}  # removed and installed again between two polls
            for name, value in counted.items():
                self.now[name] = self.now.get(name, 0) + value - before.get(name, 0)
            self._counted[key_of(row)] = counted


class Rates:
    """Counts per second over the last second or so."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._base: dict[str, int] = {}
        self._rates: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        return self._rates.get(name, 0.0)

    def update(self, totals: dict[str, int]) -> None:
        elapsed = self._clock() - self._since
        if elapsed >= 1.0:
            self._rates = {name: (value - self._base.get(name, 0)) / elapsed for name, value in totals.items()}
            self._base, self._since = dict(totals), self._clock()


class Health:
    """Which ins and outs were not well when they were last looked at. What starts well is no news."""

    def __init__(self) -> None:
        self._ailing: dict[tuple[str, str], dict[str, str]] = {}

    def changes(self, changes: Changes) -> Iterator[Condition]:
        """Those that fail now, fail otherwise, or are well again."""
        for key in changes.removed:
            self._ailing.pop(key, None)
        for row in changes.changed:
            places = self._ailing.pop(key_of(row), {})
            for place, condition in _places(row):
                now = _failure(condition)
                if now != places.pop(place, ""):
                    yield _name(row), place, condition
                if now:
                    places[place] = now
            if places:
                self._ailing[key_of(row)] = places


def ailing(stats: Iterable[dict[str, Any]]) -> Iterator[Condition]:
    """Every in and out that is not well."""
    for row in stats:
        for place, condition in _places(row):
            if _failure(condition):
                yield _name(row), place, condition


def _name(row: dict[str, Any]) -> str:
    return f"{row['customer']}/{row['pipeline']}"


def _places(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "in" in row:
        yield "in", row["in"]
    for name, condition in row.get("outs", {}).items():
        yield f"out {name}", condition


def _failure(condition: dict[str, Any]) -> str:
    """Empty for what is well."""
    return "" if condition["state"] == "up" else condition.get("code") or condition["state"]
