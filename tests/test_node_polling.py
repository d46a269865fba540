"""What a running node says while nobody reads it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vrsky_fast.control.upkeep import Upkeep
from vrsky_fast.node import Watcher, polling
from vrsky_fast.node.engine import NOTHING, Changes, Engine
from vrsky_fast.node.events import Events
from vrsky_fast.node.monitor import Monitor
from vrsky_fast.node.polling import poll_until
from vrsky_fast.node.signals import Stop


class Asked(Engine, Watcher):
    """Engine and watcher; notes what is asked of them, and ends the run before the last look at the reader."""

    def __init__(self, end: asyncio.Event, behind: list[bool]) -> None:
        self.calls: list[str] = []
        self._end, self._behind = end, behind

    def is_behind(self) -> bool:
        behind = self._behind.pop(0)
        if len(self._behind) == 1:
            self._end.set()
        return behind

    def check_shards(self) -> None:
        self.calls.append("check_shards")

    def events(self) -> Events:
        self.calls.append("events")
        return Events()

    def changes(self) -> Changes:
        return NOTHING

    def stats(self) -> list[dict[str, Any]]:
        return []

    def poll(self, changes: Changes, events: Events) -> None:
        self.calls.append("poll")

    def report(self, stats: list[dict[str, Any]]) -> None:
        self.calls.append("report")


async def nothing() -> list[str]:
    return []


async def asked(behind: list[bool]) -> list[str]:
    end, stop = asyncio.Event(), Stop(lambda: None)
    both = Asked(end, behind)
    stop.report.set()
    await poll_until([asyncio.create_task(end.wait())], both, both, Upkeep(nothing, lambda _: None), Monitor(), stop)
    return both.calls


def test_a_watcher_that_is_behind_leaves_events_and_stats_in_the_node() -> None:
    calls = asyncio.run(asked([True, True, False, True, True]))
    # The last poll is there in any case.
    assert calls == ["check_shards", "check_shards", "events", "poll", "report", "check_shards", "events", "poll"]


class Slow(Asked):
    """Its stats wait for their turn for longer than they work, by the clocks that it shows."""

    def __init__(self, end: asyncio.Event, behind: list[bool]) -> None:
        super().__init__(end, behind)
        self.wall = 100.0

    def monotonic(self) -> float:
        return self.wall

    def thread_time(self) -> float:
        return 5.0

    def events(self) -> Events:
        self.wall += polling.POLL_SECONDS
        return Events()

    def changes(self) -> Changes:
        self.calls.append("changes")
        self.wall += 0.02
        return NOTHING

    def poll(self, changes: Changes, events: Events) -> None: ...


def test_stats_that_wait_for_their_turn_are_looked_at_again_as_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looks() -> list[str]:
        end = asyncio.Event()
        slow = Slow(end, [False] * 5)
        monkeypatch.setattr(polling, "time", slow)
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(end.wait())]
        await poll_until(ends, slow, slow, Upkeep(nothing, lambda _: None), Monitor(), Stop(lambda: None))
        return slow.calls

    assert asyncio.run(looks()) == ["changes"] * 5
