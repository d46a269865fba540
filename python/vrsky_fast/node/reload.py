"""Files that change while messages flow: looked at a few times a second, or when a signal asks for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import NoReturn

from .disk import Disk
from .pipelines import Pipelines
from .polling import pause_after
from .signals import Stop

# Between two looks.
_LEAST_SECONDS, _MOST_SECONDS = 0.25, 10.0
# Until a stream that was missing is asked for again.
_AGAIN_SECONDS = 5.0


async def keep(disk: Disk, pipelines: Pipelines, stop: Stop, watch: bool) -> NoReturn:
    pace, again = _Pace(disk), time.monotonic() + _AGAIN_SECONDS
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.reload.wait(), pace.pause())
        asked = stop.reload.is_set()
        stop.reload.clear()
        began = time.monotonic()
        changed = (asked or watch) and await asyncio.to_thread(pace.look, asked)
        if changed or (pipelines.waits_for_server and began >= again):
            await pipelines.update()
            again = time.monotonic() + _AGAIN_SECONDS


class _Pace:
    """Looks at all files are rare where there are thousands; at those that change it looks again soon."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._due = time.monotonic() + _LEAST_SECONDS

    def pause(self) -> float:
        return _LEAST_SECONDS if self._disk.is_unsettled else max(self._due - time.monotonic(), 0)

    def look(self, everything: bool) -> bool:
        """Whether something has changed. The pause after it is by the processor time of this thread: a look that waits
        for its turn on a busy machine costs nothing. Reading does not count, since it is as rare as changes are."""
        if time.monotonic() < self._due and not everything:
            return self._disk.look_again()
        began = time.thread_time()
        changed = self._disk.look(everything)
        took = time.thread_time() - began - self._disk.reading_took
        self._due = time.monotonic() + pause_after(took, _LEAST_SECONDS, _MOST_SECONDS)
        return changed
