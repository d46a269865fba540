"""What redrives have in hand, in the stream `VRSKY_REDRIVE`: a message for each, with the numbers of its batch.

It is written before the batch is published, and deleted when the letters of the last batch are gone. One that is
there when a redrive starts is of another that is at work, or has crashed: its letters may be on their way already.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from ..answers import answers

STREAM = "VRSKY_REDRIVE"
_SUBJECT = "vrsky.redrive"
_CONFIG = StreamConfig(
    name=STREAM,
    subjects=[f"{_SUBJECT}.*"],
    storage=StorageType.FILE,
    discard=DiscardPolicy.OLD,
    max_msgs_per_subject=1,
)


class Journal:
    """That of one redrive. Raises NatsError."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._jetstream = client.jetstream(timeout=10)
        self._subject = f"{_SUBJECT}.{secrets.token_hex(8)}"
        self._is_there = False

    async def others(self) -> dict[str, list[int]]:
        """The batches of other redrives, by their subject."""
        with answers(STREAM):
            try:
                info = await self._jetstream.stream_info(STREAM, subjects_filter=">")
            except NotFoundError:
                return {}
            self._is_there = True
            found = {}
            for subject in info.state.subjects or {}:
                try:
                    message = await self._jetstream.get_last_msg(STREAM, subject)
                except NotFoundError:
                    continue  # ended meanwhile
                found[subject] = [int(number) for number in json.loads(message.data or b"[]")]
            return found

    async def begin(self, sequences: Iterable[int]) -> None:
        """Returns when the server has it."""
        with answers(STREAM):
            if not self._is_there:
                await self._jetstream.add_stream(_CONFIG)
                self._is_there = True
            await self._jetstream.publish(self._subject, json.dumps(list(sequences)).encode(), stream=STREAM)

    async def end(self) -> None:
        """Nothing is in hand any more."""
        if self._is_there:
            await self.forget(self._subject)

    async def forget(self, subject: str) -> None:
        """The batch of another redrive has been dealt with."""
        with answers(STREAM):
            await self._jetstream.purge_stream(STREAM, subject=subject)
