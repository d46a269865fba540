"""Pipelines that change while messages flow: what the origin brings is done, and the origin hears what became of it."""

from __future__ import annotations

import time
from typing import NoReturn

from .origin import Origin
from .pipelines import Pipelines
from .signals import Stop

# Until a stream that was missing is asked for again.
_AGAIN_SECONDS = 5.0


async def keep(origin: Origin, pipelines: Pipelines, stop: Stop) -> NoReturn:
    origin.handled(pipelines.findings, pipelines.count)
    again = time.monotonic() + _AGAIN_SECONDS
    while True:
        changed = await origin.changed(stop)
        if changed or (pipelines.waits_for_server and time.monotonic() >= again):
            await pipelines.update()
            origin.handled(pipelines.findings, pipelines.count)
            again = time.monotonic() + _AGAIN_SECONDS
