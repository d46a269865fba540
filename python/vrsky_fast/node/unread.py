"""Lanes in which messages wait and from which no node asks for any, such as those of another topology."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from nats.aio.client import Client

from ..control.connection import connect
from ..control.server_config import Endpoint
from ..control.streams import Stream, left_behind, topology
from ..control.subjects import ask
from ..errors import VrskyError
from .profile import Profile

_POLL_SECONDS = 30.0
_TIMEOUT_SECONDS = 30.0


class UnreadPoll:
    """Asks the server now and then. A lane is named when two looks in a row have found it so, and once until it is read
    again: a node that starts, or is replaced, is given that time."""

    def __init__(self, endpoint: Endpoint, profile: Callable[[], Profile], note: Callable[[str], None]) -> None:
        self._endpoint, self._profile, self._note = endpoint, profile, note
        self._seen: set[str] = set()
        self._named: set[str] = set()

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look. Nothing is said while the server is away or does not permit it."""
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS), connect(self._endpoint) as client:
                lanes = self._lanes()
                found = {one.name: (one, count) for one in lanes if (count := await _unread(client, one))}
        except (VrskyError, OSError):
            return
        for name in (found.keys() & self._seen) - self._named:
            stream, count = found[name]
            self._note(
                f"{count:,} messages wait in {name}, and no node reads it: start one of the type {stream.consumer}, or"
                " deploy the topology that has it"
            )
            self._named.add(name)
        self._named &= found.keys()
        self._seen = set(found)

    def _lanes(self) -> list[Stream]:
        profile = self._profile()
        known = topology(profile.tiers, profile.lanes, name=profile.topology)
        left = left_behind(profile.tiers, profile.lanes, profile.topology)
        return [one for one in (*known, *left) if one.consumer is not None]


async def _unread(client: Client, stream: Stream) -> int:
    """How many messages nobody has asked for, where nobody asks; 0 otherwise, and for a stream that is not there."""
    info = await ask(client, f"CONSUMER.INFO.{stream.name}.{stream.consumer}", {}, stream.name)
    if info is None or info["num_waiting"] or info["num_ack_pending"]:
        return 0
    return int(info["num_pending"])
