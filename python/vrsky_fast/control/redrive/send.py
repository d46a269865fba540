"""Sends dead letters again, batch by batch, and deletes each when the stream it went to has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.js.errors import APIError, NoStreamResponseError

from ...errors import NatsError
from .. import dead_letters
from ..answers import answers
from ..deployment import history, in_force
from ..failure import fail
from ..lanes import Lanes
from ..originals import sweep
from ..served import Serving
from ..streams import own_lanes_among
from ..subjects import streams_of
from .journal import Journal
from .plan import Refused, Sending, plan

_MOST = 100
_MOST_BYTES = 16 * 1024 * 1024
# What nats-server says of a full subject, stream or disk.
_FULL = {10077, 10002, 10023, 10028, 10047}
# Pauses before a full lane is tried again; after the last one the redrive ends.
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0)


@dataclass
class Report:
    """What became of the letters; `sent` is without payloads. `doubtful` are those that an earlier redrive had in hand
    when it ended: they may be delivered twice. `left` is None, or why the rest was not sent."""

    sent: list[Sending] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    left: str | None = None

    @property
    def is_well(self) -> bool:
        return not (self.refused or self.missing or self.left)


class Redrive:
    """One redrive. `rate` is the most letters a second; `doubts` is told once, before anything is sent, which letters
    may be delivered twice. Raises NatsError; what was in hand then is named by the next redrive."""

    def __init__(
        self, client: Client, serving: Serving | None, rate: float, doubts: Callable[[list[int]], None] = lambda _: None
    ) -> None:
        self._client = client
        self._serving = serving
        self._rate = rate
        self._doubts = doubts
        self._journal = Journal(client)
        self._lanes = Lanes({})
        self._next = 0.0
        self.report = Report()

    async def plan(self, sequences: AsyncIterable[int]) -> Report:
        """What `run` would do. Nothing is sent; those that would be are in `sent`."""
        await self._look()
        async for sequence in sequences:
            if (sending := await self._prepare(sequence)) is not None:
                self.report.sent.append(sending.without_payload())
        return self.report

    async def run(self, sequences: AsyncIterable[int]) -> Report:
        """Sends them in this order."""
        try:
            await self._look()
            # Before the first is sent: a scan that pauses for long would lose its place.
            wanted = [sequence async for sequence in sequences]
            others = await self._journal.others()
            self._name_doubtful(wanted, others)
            await self._send(wanted)
            await self._journal.end()
            await self._forget(others)
            await sweep(self._client)
        except NatsError as error:
            if error.code not in {"nats/timeout", "nats/disconnected"}:
                raise
            fail(error.code, f"{error.reason}; run the redrive again")
        return self.report

    async def _look(self) -> None:
        """Which lanes the server has, and who has lanes of its own."""
        names = await streams_of(self._client, "vrsky.>")
        dedicated = in_force(await history(self._client)).own_lanes if own_lanes_among(names) else ()
        self._lanes = Lanes.among(names, dedicated)

    def _name_doubtful(self, wanted: Sequence[int], others: dict[str, list[int]]) -> None:
        in_hand = {sequence for batch in others.values() for sequence in batch}
        self.report.doubtful = [sequence for sequence in wanted if sequence in in_hand]
        if self.report.doubtful:
            self._doubts(self.report.doubtful)

    async def _send(self, wanted: Sequence[int]) -> None:
        """In batches, up to the first that does not fit its lane."""
        most = max(1, min(_MOST, int(self._rate)))
        batch: list[Sending] = []
        for sequence in wanted:
            if (sending := await self._prepare(sequence)) is None:
                continue
            if len(batch) == most or sum(len(one.payload) for one in batch) + len(sending.payload) > _MOST_BYTES:
                if not await self._send_batch(batch):
                    return
                batch = []
            batch.append(sending)
        if batch:
            await self._send_batch(batch)

    async def _send_batch(self, batch: list[Sending]) -> bool:
        """Whether all of it was stored."""
        if not batch:
            return True
        await self._turn(len(batch))
        await self._journal.begin(one.sequence for one in batch)
        return await self._publish(batch)

    async def _turn(self, count: int) -> None:
        """Waits until so many may be sent."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next - loop.time()))
        self._next = loop.time() + count / self._rate

    async def _prepare(self, sequence: int) -> Sending | None:
        """None for a letter that is not there, or stays: the report has it."""
        letter = await dead_letters.show(self._client, sequence)
        if letter is None:
            self.report.missing.append(sequence)
            return None
        planned = plan(letter, self._lanes, self._serving)
        if isinstance(planned, Refused):
            self.report.refused.append(planned)
            return None
        return planned

    async def _publish(self, sendings: list[Sending]) -> bool:
        """Whether all were stored; those that were are deleted whatever happens to the others."""
        for pause in (*_PAUSES, None):
            outcomes = await asyncio.gather(*(self._publish_one(one) for one in sendings), return_exceptions=True)
            done = [one for one, outcome in zip(sendings, outcomes, strict=True) if outcome is True]
            await dead_letters.delete(self._client, [one.sequence for one in done])
            self.report.sent += [one.without_payload() for one in done]
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
            sendings = [one for one, outcome in zip(sendings, outcomes, strict=True) if outcome is False]
            if not sendings:
                return True
            if pause is not None:
                await asyncio.sleep(pause)
        self.report.left = f"the lane {sendings[0].stream} is full"
        return False

    async def _publish_one(self, one: Sending) -> bool:
        """False when its lane has no room for it."""
        with answers(one.stream):
            try:
                ack = await self._client.jetstream(timeout=10).publish(
                    one.subject, one.payload, stream=one.stream, headers=dict(one.headers)
                )
            except NoStreamResponseError:
                fail("nats/no-stream", "the stream of a lane is gone; `vrsky run` makes it again")
            except APIError as error:
                if error.err_code in _FULL:
                    return False
                raise
        if ack.stream != one.stream:
            fail("nats/refused", f"{one.subject} was taken by {ack.stream}, not by {one.stream}")
        return True

    async def _forget(self, others: dict[str, list[int]]) -> None:
        """Batches of which no letter is left."""
        for subject, batch in others.items():
            left = await asyncio.gather(*(dead_letters.show(self._client, sequence) for sequence in batch))
            if not any(left):
                await self._journal.forget(subject)
