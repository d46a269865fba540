"""Messages that are set aside in `VRSKY_PARKED`: for which out, how many, and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from . import headers, subjects
from .answers import answers
from .streams import PARKED, parked_subject

_AT_ONCE = 100


@dataclass(frozen=True)
class Parked:
    """Those of one out, or of `streams.STEPS`. Of the oldest: when it was accepted, 0 when unknown, and when it was set
    aside; milliseconds since the Unix epoch."""

    customer: str
    pipeline: str
    out: str
    messages: int
    came_ms: int
    parked_ms: int

    def as_json(self) -> dict[str, object]:
        return {
            "customer": self.customer,
            "pipeline": self.pipeline,
            "out": self.out,
            "messages": self.messages,
            "oldest_came_ms": self.came_ms,
            "oldest_parked_ms": self.parked_ms,
        }


@dataclass(frozen=True)
class Discarded:
    """How many messages were deleted. Nodes had so many of them in hand at most, and may deliver those yet."""

    deleted: int
    in_hand: int


async def listing(
    client: Client, customer: str | None = None, pipeline: str | None = None, out: str | None = None
) -> list[Parked]:
    """By customer, pipeline and out. Raises NatsError, and ConfigError for what is no name."""
    counts = await subjects.counts(client, PARKED, parked_subject(customer, pipeline, out))
    found: list[Parked] = []
    for some in _some(sorted(counts)):
        oldest = await asyncio.gather(*(_oldest(client, subject) for subject in some))
        for subject, times in zip(some, oldest, strict=True):
            if times is not None:
                found.append(_parked(subject, counts[subject], *times))
    return found


async def discard(
    client: Client, customer: str | None = None, pipeline: str | None = None, out: str | None = None
) -> Discarded:
    """Deletes them for good. Raises NatsError, and ConfigError for what is no name."""
    subject = parked_subject(customer, pipeline, out)
    in_hand = await subjects.handed_out(client, PARKED, subject)
    deleted = await subjects.purge(client, PARKED, subject)
    return Discarded(deleted, min(in_hand, deleted))


async def _oldest(client: Client, subject: str) -> tuple[int, int] | None:
    """When it came and was set aside; None when it has left meanwhile."""
    with answers(PARKED):
        try:
            message = await client.jetstream(timeout=10).get_msg(PARKED, seq=1, subject=subject, next=True)
        except NotFoundError:
            return None
    came_ms = headers.number(message.headers or {}, "Vrsky-Time")
    return came_ms, int(message.time.timestamp() * 1000) if message.time else 0


def _parked(subject: str, messages: int, came_ms: int, parked_ms: int) -> Parked:
    _, _, customer, pipeline, out = subject.split(".")
    return Parked(customer, pipeline, out, messages, came_ms, parked_ms)


def _some(all_of_them: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(all_of_them), _AT_ONCE):
        yield all_of_them[first : first + _AT_ONCE]
