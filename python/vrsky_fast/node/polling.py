"""What a running node says, handed on a few times a second to whoever watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol

from ..config import PipelineFile
from ..control.upkeep import Upkeep
from .engine import NOTHING, Changes, Engine
from .events import Events
from .monitor import Monitor
from .reconcile import Finding
from .signals import Stop
from .waiting import Waiting

POLL_SECONDS = 0.25
# Between two looks at the stats.
_MOST_SECONDS = 2.0
# As many times as long as a look works.
_PAUSES = 200


def pause_after(took: float, least: float, most: float) -> float:
    """Seconds until the next of looks that are repeated: 0.5 % of a processor for all of them, within these bounds.
    `took` is the last one's processor time, from `time.thread_time`."""
    return min(max(least, took * _PAUSES), most)


class Watcher(Protocol):
    """Who is told what happens; called on the event loop, and never blocks for long. Each method may raise what an
    earlier one has met; the run ends with it."""

    def is_behind(self) -> bool:
        """Whether there should be no `poll` and no `report` for now, since nobody reads the ones before."""

    def drain_at_once(self) -> None:
        """The process ends after this call, by force: what was said is handed on, as far as that is quick. Never
        raises."""

    def note(self, text: str) -> None:
        """Something about the node itself, for people."""

    def ready(self, base: str | None, pipelines: Sequence[PipelineFile]) -> None:
        """Messages flow. `base` is the address of HTTP pipelines, such as http://127.0.0.1:8080."""

    def changed(self, installed: Sequence[PipelineFile], removed: Sequence[tuple[str, str]]) -> None:
        """What runs now, new or in place of an earlier revision, and customer and name of what does not run any
        more."""

    def left_out(self, findings: Sequence[Finding], total: int) -> None:
        """Files that cannot be served, each when it was read; `total` is how many there are now."""

    def waiting(self, new: Sequence[Waiting], found: Sequence[Waiting]) -> None:
        """Messages that wait for what this node does not serve: names that were not among them before, and all of
        them. Also when a count has changed."""

    def poll(self, changes: Changes, events: Events) -> None:
        """A few times a second: which stats have changed, as far as they were looked at, and what happened since."""

    def report(self, stats: list[dict[str, Any]]) -> None:
        """The stats of every pipeline, since somebody asked for them; after a `poll`."""


async def poll_until(
    ends: list[asyncio.Task[Any]], engine: Engine, watcher: Watcher, upkeep: Upkeep, monitor: Monitor, stop: Stop
) -> None:
    """Returns soon after the first of `ends` has ended; what it raised is its own. The last poll has the stats.

    While the watcher is behind, events and changes stay in the node, which has a bound for both; the upkeep looks by
    itself."""
    due, is_last = time.monotonic(), any(task.done() for task in ends)
    while not is_last:
        await asyncio.wait(ends, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        is_last = any(task.done() for task in ends)
        monitor.loops()
        if watcher.is_behind() and not is_last:
            engine.check_shards()
            continue
        events = engine.events()
        if events.may_have("nats/no-stream"):
            upkeep.notice_missing()
        changes, now = NOTHING, time.monotonic()
        if now >= due or stop.report.is_set() or is_last:
            began = time.thread_time()
            changes = engine.changes()
            due = now + pause_after(time.thread_time() - began, POLL_SECONDS, _MOST_SECONDS)
        watcher.poll(changes, events)
        if stop.report.is_set():
            stop.report.clear()
            watcher.report(engine.stats())
