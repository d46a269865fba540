"""When each message was published to the lanes of outgoing nodes and to the dead letters, with what streams drop."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from nats.aio.msg import Msg

from vrsky_fast.control.connection import connect
from vrsky_fast.facts import DUPLICATE_WINDOW_SECONDS

from ..conftest import Background
from ..end_to_end.node import PATIENCE
from .servers import Servers

# Of the server's clock, and until its message is read here.
TOLERANCE_SECONDS = 2.0


class Publishes:
    """A subscriber sees all that is published to a stream's subjects, whether the stream keeps it or not."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._times: dict[str, dict[str, list[float]]] = {"outgoing": defaultdict(list), "dead": defaultdict(list)}

    async def note(self, message: Msg) -> None:
        publish_id = (message.headers or {})["Nats-Msg-Id"]
        self._times[message.subject.split(".")[1]][publish_id].append(time.monotonic())

    def stored_again(self, kind: str) -> int:
        """How many `outgoing` or `dead` ones a stream has stored under an id that it had stored before. Asserts that
        each of these may be one whose id it had forgotten."""
        times = self._times[kind]
        again = self._servers.ever_stored(f"VRSKY_{kind.upper()}") - len(times)
        assert 0 <= again <= sum(map(_forgotten, times.values())), f"{again} were stored again within the window"
        return again


def _forgotten(times: list[float]) -> int:
    """How often one came so late that its stream cannot have known its id any more, had it stored the first."""
    stored, count = times[0], 0
    for published in times:
        if published - stored >= DUPLICATE_WINDOW_SECONDS - TOLERANCE_SECONDS:
            stored, count = published, count + 1
    return count


@contextmanager
def watched(servers: Servers, background: Background) -> Iterator[Publishes]:
    """For as long as the block runs, and the server with it."""
    publishes, begun, over = Publishes(servers), Event(), asyncio.Event()

    async def watch() -> None:
        async with connect(servers.endpoint) as client:
            for subject in ("vrsky.outgoing.>", "vrsky.dead.>"):
                await client.subscribe(subject, cb=publishes.note, pending_msgs_limit=0, pending_bytes_limit=0)
            await client.flush()
            begun.set()
            await over.wait()

    watching = asyncio.run_coroutine_threadsafe(watch(), background.loop)
    assert begun.wait(PATIENCE), watching
    try:
        yield publishes
    finally:
        background.loop.call_soon_threadsafe(over.set)
        watching.result(PATIENCE)
