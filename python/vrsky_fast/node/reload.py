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
    pause, again = _LEAST_SECONDS, time.monotonic() + _AGAIN_SECONDS
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.reload.wait(), pause)
        asked = stop.reload.is_set()
        stop.reload.clear()
        began = time.monotonic()
        changed = (asked or watch) and await asyncio.to_thread(disk.look, asked)
        pause = pause_after(time.monotonic() - began, _LEAST_SECONDS, _MOST_SECONDS)
        is_time = pipelines.waits_for_server and began >= again
        if changed or is_time:
            await pipelines.update()
            again = time.monotonic() + _AGAIN_SECONDS
