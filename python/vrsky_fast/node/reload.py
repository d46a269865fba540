"""Pipelines that change while messages flow: what the origin brings is done, and the origin hears what became of it."""

from __future__ import annotations

import time
from typing import NoReturn

from .following import Following
from .origin import Origin
from .pipelines import Pipelines
from .signals import Stop

# Until a stream that was missing is asked for again.
_AGAIN_SECONDS = 5.0


async def keep(origin: Origin, pipelines: Pipelines, following: Following, stop: Stop) -> NoReturn:
    await following.follow(origin.deployment, origin.closed)
    origin.handled(pipelines.findings, pipelines.count, following.profile)
    again = time.monotonic() + _AGAIN_SECONDS
    while True:
        changed = await origin.changed(stop)
        waits = pipelines.waits_for_server or following.waits
        if changed or (waits and time.monotonic() >= again):
            await following.follow(origin.deployment, origin.closed)
            await pipelines.update()
            origin.handled(pipelines.findings, pipelines.count, following.profile)
            again = time.monotonic() + _AGAIN_SECONDS
