"""Streams of ours for as long as a node runs: waited for at the start, made again when somebody has deleted them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from ..errors import NatsError, VrskyError

# How long a cluster may be without a leader at the start of a node.
LEADER_SECONDS = 300.0
# Between two looks at the streams, and at how much room the disk has.
LOOK_SECONDS = 5.0
# After a look that failed, and at least between two looks.
_PAUSE_SECONDS = 1.0
_PASSES = ("nats/timeout", "nats/disconnected")
# While a node runs, a server may be away.
_COMES_BACK = (*_PASSES, "nats/connect")

Provision = Callable[[], Awaitable[list[str]]]
Note = Callable[[str], None]


async def provisioned(provision: Provision, asked: asyncio.Event, note: Note) -> list[str] | None:
    """What `provision` made, once JetStream answers; None when `asked` is set before that. Raises NatsError: at once
    what does not pass, and after LEADER_SECONDS what might."""
    loop = asyncio.get_running_loop()
    until, noted = loop.time() + LEADER_SECONDS, False
    while True:
        try:
            return await _unless(asked, provision())
        except NatsError as error:
            # A server that was there once may be starting again.
            if (error.code not in _PASSES and not (noted and error.code == "nats/connect")) or loop.time() > until:
                raise
            if not noted:
                note(f"JetStream has no leader, or does not answer: waiting for it ({error.reason})")
                noted = True
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.wait(), _PAUSE_SECONDS)


async def _unless(asked: asyncio.Event, work: Awaitable[list[str]]) -> list[str] | None:
    """None as soon as `asked` is set."""
    working, stop = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
        return None if stop.done() else await working
    finally:
        working.cancel()
        stop.cancel()


class Upkeep:
    """Looks at the streams every LOOK_SECONDS, and at once when an event says that one is missing. What it may not do
    is tried again, and said once."""

    def __init__(self, provision: Provision, note: Note) -> None:
        self._provision, self._note = provision, note
        self._missing = asyncio.Event()

    def notice_missing(self) -> None:
        """Something of the node's has met a stream that is not there."""
        self._missing.set()

    async def run(self) -> NoReturn:
        pause, said = LOOK_SECONDS, ""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._missing.wait(), pause)
            self._missing.clear()
            try:
                if done := await self._provision():
                    self._note(f"missing or changed on the server, and made right: {'; '.join(done)}")
                pause, said = LOOK_SECONDS, ""
            except (VrskyError, OSError) as error:
                pause = _PAUSE_SECONDS
                if (lasting := _lasting(error)) and lasting != said:
                    self._note(f"the streams cannot be looked after, which is tried again: {lasting}")
                    said = lasting
            await asyncio.sleep(_PAUSE_SECONDS)


def _lasting(error: VrskyError | OSError) -> str:
    """What may stand in the way for long; empty where a server that comes back is enough."""
    return "" if isinstance(error, VrskyError) and error.code in _COMES_BACK else str(error)
