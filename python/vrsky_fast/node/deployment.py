"""The settings of the deployment as a node follows them: watched in the bucket vrsky_deployment.

A value that is none changes nothing: the last good one goes on, and the node says so. So it does while the server or
the bucket is away, and with a bucket that was made anew and is empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from nats.aio.client import Client

from ..config.deployment import DeploymentSettings
from ..config.problem import Problem
from ..control.buckets import DEPLOYMENT, identity, make
from ..control.connection import connect
from ..control.deployment import KEY, Version, history, in_force, version_of
from ..control.server_config import Endpoint
from ..control.watch import Watch
from ..errors import VrskyError

_AGAIN_SECONDS = 1.0


class Deployment:
    """`settings` stay the same from one `take` to the next. `seen` is the sequence of what they were made of, in the
    bucket that `identity` names; `problems` why that is not what they say."""

    def __init__(self, endpoint: Endpoint, replicas: int | None, note: Callable[[str], None]) -> None:
        self._endpoint, self._replicas, self._note = endpoint, replicas, note
        self._watch = Watch(DEPLOYMENT, (KEY,))
        self._new: Version | None = None
        self._new_identity = ""
        self.settings = DeploymentSettings()
        self.seen, self.identity = 0, ""
        self.problems: tuple[Problem, ...] = ()
        self.arrived = asyncio.Event()
        """Set when `take` has something to take."""

    async def read(self, client: Client) -> list[str]:
        """Makes the bucket where it is missing, and reads what it holds; what was made. Raises NatsError."""
        done = await make(client, DEPLOYMENT, self._replicas)
        versions = await history(client)
        self.settings, self.identity = in_force(versions), await identity(client, DEPLOYMENT)
        if versions:
            self._judge(versions[-1])
        return done

    async def follow(self) -> NoReturn:
        said = ""
        while True:
            try:
                async with connect(self._endpoint) as client:
                    async for batch in self._watch.follow(client):
                        if said:
                            self._note("the settings of the deployment are watched again")
                            said = ""
                        self._new_identity = batch.identity
                        if batch.entries:
                            self._new = version_of(batch.entries[-1])
                        self.arrived.set()
            except (VrskyError, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    self._note(f"the settings of the deployment cannot be watched, and go on as they are: {error}")
            await asyncio.sleep(_AGAIN_SECONDS)

    def take(self) -> bool:
        """Makes `settings` what has arrived last; whether anything has."""
        self.arrived.clear()
        is_other = self.identity != self._new_identity != ""
        if is_other:
            self.identity, self.seen = self._new_identity, 0
        new, self._new = self._new, None
        if new is None or (new.sequence == self.seen and not is_other):
            return is_other
        if new.settings is not None:
            self.settings = new.settings
        self._judge(new)
        return True

    def _judge(self, version: Version) -> None:
        self.seen, self.problems = version.sequence, version.problems
        for one in version.problems:
            self._note(f"the settings of the deployment stay as they were: {one}")
