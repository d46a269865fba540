"""How much waits in the streams of a deployment, asked of the server every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from nats.aio.client import Client

from ..control.connection import connect
from ..control.held import Held, held
from ..control.server_config import Endpoint
from ..control.streams import Stream
from ..errors import NatsError, VrskyError
from .profile import Profile

_POLL_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
# Of one stream: a leader answers within milliseconds.
_STREAM_SECONDS = 3.0


class LanePoll:
    """What was found last. While the server is away or does not permit it, there is nothing: an old number would look
    like a new one."""

    def __init__(self, endpoint: Endpoint, profile: Callable[[], Profile]) -> None:
        self._endpoint, self._profile = endpoint, profile
        self._silent: set[str] = set()
        self.found: Mapping[str, Held] = {}
        self.leaderless: Sequence[str] = ()
        """Streams that were silent in two polls, of a server that answers: they have no leader. Any thread may
        read it."""

    async def run(self) -> NoReturn:
        while True:
            self.found, silent = await self._poll()
            # An election takes a moment, and is over before the next poll.
            self.leaderless = sorted(silent & self._silent)
            self._silent = silent
            await asyncio.sleep(_POLL_SECONDS)

    def _streams(self) -> Sequence[Stream]:
        profile = self._profile()
        return [*profile.streams(), *profile.streams_left_behind()]

    async def _poll(self) -> tuple[Mapping[str, Held], set[str]]:
        """What each stream holds, and those that have not answered."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS), connect(self._endpoint) as client:
                answers = await asyncio.gather(*(_look(client, one) for one in self._streams()))
        except (VrskyError, OSError):
            return {}, set()
        found = {one.stream: one for one in answers if isinstance(one, Held)}
        return found, {one for one in answers if isinstance(one, str)}


async def _look(client: Client, stream: Stream) -> Held | str | None:
    """None for a stream that there is not; its name when it has no leader to answer for it. Raises NatsError."""
    try:
        async with asyncio.timeout(_STREAM_SECONDS):
            return await held(client, stream)
    except TimeoutError:
        return stream.name
    except NatsError as error:
        if error.code != "nats/timeout":
            raise
        return stream.name
