"""How much waits in the streams of a deployment, asked of the server every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NoReturn

from ..control.connection import connect
from ..control.held import Held, held
from ..control.server_config import Endpoint
from ..control.streams import Stream, topology
from ..errors import VrskyError
from .profile import Profile

_POLL_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0


class LanePoll:
    """What was found last. While the server is away or does not permit it, there is nothing: an old number would look
    like a new one."""

    def __init__(self, endpoint: Endpoint, profile: Profile) -> None:
        self._endpoint = endpoint
        self._streams: Sequence[Stream] = list(topology(profile.tiers, profile.lanes))
        self.found: Mapping[str, Held] = {}

    async def run(self) -> NoReturn:
        while True:
            self.found = await self._poll()
            await asyncio.sleep(_POLL_SECONDS)

    async def _poll(self) -> Mapping[str, Held]:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS), connect(self._endpoint) as client:
                found = [await held(client, one) for one in self._streams]
        except (VrskyError, OSError):
            return {}
        return {one.stream: one for one in found if one is not None}
