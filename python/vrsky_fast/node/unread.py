"""Lanes in which messages wait and from which no node asks for any, such as those of another topology."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from nats.aio.client import Client

from ..control.connection import connect
from ..control.server_config import Endpoint
from ..control.streams import OWN_SUBJECTS, Stream, own_lanes_among
from ..control.subjects import ask, streams_of
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
                lanes = await self._lanes(client)
                found = {one.name: (one, count) for one in lanes if (count := await _unread(client, one))}
        except (VrskyError, OSError):
            return
        for name in (found.keys() & self._seen) - self._named:
            stream, count = found[name]
            of_whom = "" if stream.customer is None else f" with --customer {stream.customer}"
            self._note(
                f"{count:,} messages wait in {name}, and no node reads it: start one of the type"
                f" {stream.consumer}{of_whom}, or deploy the topology that has it"
            )
            self._named.add(name)
        self._named &= found.keys()
        self._seen = set(found)

    async def _lanes(self, client: Client) -> list[Stream]:
        """Those of the node, and customers' own, which nobody may serve any more."""
        profile = self._profile()
        own = {one.name: one for one in own_lanes_among(await streams_of(client, OWN_SUBJECTS))}
        lanes = own | {one.name: one for one in (*profile.streams(), *profile.streams_left_behind())}
        return [one for one in lanes.values() if one.consumer is not None]


async def _unread(client: Client, stream: Stream) -> int:
    """How many messages nobody has asked for, where nobody asks; 0 otherwise, and for a stream that is not there."""
    info = await ask(client, f"CONSUMER.INFO.{stream.name}.{stream.consumer}", {}, stream.name)
    if info is None or info["num_waiting"] or info["num_ack_pending"]:
        return 0
    return int(info["num_pending"])
