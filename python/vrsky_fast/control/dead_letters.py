"""The dead letters: what failed for good, why, and the payload."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from . import headers as of_message
from . import subjects
from .answers import answers
from .streams import DEAD, dead_subject, original_subject

_BATCH = 500


@dataclass(frozen=True)
class DeadLetter:
    """`sequence` is its number in the stream and stays the same; `stored_ms` is when it came there. The whole message
    that is kept beside a part has the same form, and is no letter."""

    sequence: int
    customer: str
    pipeline: str
    step: str
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(default=b"", repr=False)
    stored_ms: int = 0
    is_letter: bool = True

    @property
    def code(self) -> str:
        return self.headers.get("Vrsky-Code", "")

    @property
    def reason(self) -> str:
        return self.headers.get("Vrsky-Reason", "")

    @property
    def id(self) -> str:
        return of_message.message_id(self.headers)

    @property
    def original(self) -> str | None:
        """The id under which the whole message is kept, when this is a part of one."""
        return self.headers.get("Vrsky-Original")

    @property
    def time_ms(self) -> int:
        """When the message was accepted, milliseconds since the Unix epoch; 0 when unknown."""
        return of_message.number(self.headers, "Vrsky-Time")

    @property
    def died_ms(self) -> int:
        """When it became a dead letter."""
        return of_message.number(self.headers, "Vrsky-Died") or self.stored_ms

    def as_json(self) -> dict[str, object]:
        return {
            "sequence": self.sequence,
            "customer": self.customer,
            "pipeline": self.pipeline,
            "step": self.step,
            "id": self.id,
            "code": self.code,
            "reason": self.reason,
            "place": self.headers.get("Vrsky-Place", ""),
            "time_ms": self.time_ms,
            "died_ms": self.died_ms,
        }


@dataclass(frozen=True)
class Wanted:
    """Which dead letters; without anything, all. Of `codes` and `steps` one has to be the letter's; a code's first
    half, such as `http`, stands for all of them. Ages are seconds since it died."""

    customer: str | None = None
    pipeline: str | None = None
    codes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    older_than: float | None = None
    newer_than: float | None = None

    @property
    def subject(self) -> str:
        """Raises ConfigError for what is no name."""
        return dead_subject(self.customer, self.pipeline)

    def takes(self, letter: DeadLetter, now_ms: float) -> bool:
        """Whether it is one of them. Customer and pipeline are the subject's to tell."""
        age = (now_ms - letter.died_ms) / 1000
        return (
            (not self.codes or letter.code in self.codes or letter.code.partition("/")[0] in self.codes)
            and (not self.steps or letter.step in self.steps)
            and (self.older_than is None or age >= self.older_than)
            and (self.newer_than is None or age <= self.newer_than)
        )


EVERYTHING = Wanted()


async def newest(client: Client, limit: int, wanted: Wanted = EVERYTHING) -> list[DeadLetter]:
    """The newest `limit` ones, oldest first, without payloads. Raises NatsError, and ConfigError for what is
    no name."""
    bounds = await _bounds(client, wanted)
    if bounds is None:
        return []
    first, last = bounds
    # Not all of the stream's messages are dead letters, nor are all of those wanted.
    span = limit if wanted == EVERYTHING else last
    while True:
        start = max(first, last - span + 1)
        found: deque[DeadLetter] = deque(maxlen=limit)
        async for letter in _scan(client, wanted, start):
            found.append(letter)
        if len(found) == limit or start == first:
            return list(found)
        span *= 8


async def oldest_first(client: Client, wanted: Wanted) -> AsyncGenerator[DeadLetter]:
    """All that are there now, without payloads; none that dies meanwhile. Raises NatsError, and ConfigError for
    what is no name."""
    bounds = await _bounds(client, wanted)
    if bounds is None:
        return
    async with aclosing(_scan(client, wanted, bounds[0])) as letters:
        async for letter in letters:
            if letter.sequence > bounds[1]:
                return
            yield letter


async def _bounds(client: Client, wanted: Wanted) -> tuple[int, int] | None:
    """The first and the last number of the stream; None without one."""
    _ = wanted.subject
    with answers(DEAD):
        try:
            state = (await client.jetstream(timeout=10).stream_info(DEAD)).state
        except NotFoundError:
            return None
    return state.first_seq, state.last_seq


async def _scan(client: Client, wanted: Wanted, first: int) -> AsyncGenerator[DeadLetter]:
    now_ms = time.time() * 1000
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(1, first),
        headers_only=True,
        mem_storage=True,
        inactive_threshold=30.0,
    )
    with answers(DEAD):
        subscription = await client.jetstream(timeout=10).pull_subscribe(wanted.subject, stream=DEAD, config=config)
        pending = (await subscription.consumer_info()).num_pending or 0
    try:
        while pending > 0 and (messages := await _fetch(subscription, min(pending, _BATCH))):
            for message in messages:
                pending -= 1
                at = message.metadata
                stored_ms = int(at.timestamp.timestamp() * 1000)
                letter = _letter(at.sequence.stream, message.subject, of_message.read(message.headers), stored_ms)
                if wanted.takes(letter, now_ms):
                    yield letter
    finally:
        # The connection that is gone has ended it.
        with suppress(Error, OSError):
            await subscription.unsubscribe()


async def _fetch(subscription: JetStreamContext.PullSubscription, most: int) -> list[Msg]:
    """Empty when others removed what was pending."""
    with answers(DEAD):
        try:
            return await subscription.fetch(most, timeout=5)
        except TimeoutError:
            return []


async def show(client: Client, sequence: int) -> DeadLetter | None:
    """One with its payload; None when there is none of this number."""
    found = await _message(client, seq=sequence)
    return found if found is not None and found.is_letter else None


async def original(client: Client, letter: DeadLetter) -> DeadLetter | None:
    """The whole message, as it came, of a letter that is a part; None for others. Raises NatsError."""
    if letter.original is None:
        return None
    return await _message(client, subject=original_subject(letter.customer, letter.pipeline, letter.original))


async def _message(client: Client, seq: int | None = None, subject: str | None = None) -> DeadLetter | None:
    with answers(DEAD):
        try:
            message: RawStreamMsg = await client.jetstream(timeout=10).get_msg(DEAD, seq, subject)
        except NotFoundError:
            return None
    stored_ms = int(message.time.timestamp() * 1000) if message.time else 0
    headers = of_message.read(message.headers)
    return _letter(message.seq or 0, message.subject or "", headers, stored_ms, message.data or b"")


async def remove(client: Client, sequences: Iterable[int]) -> list[int]:
    """Deletes these; returns the ones that were not there. Raises NatsError."""
    there = {sequence: await show(client, sequence) is not None for sequence in sequences}
    gone = await delete(client, [sequence for sequence, is_there in there.items() if is_there])
    return [sequence for sequence, is_there in there.items() if not is_there or sequence in gone]


async def delete(client: Client, letters: Iterable[int]) -> list[int]:
    """Deletes what is known to be dead letters; returns those that others have deleted. Raises NatsError."""
    jetstream = client.jetstream(timeout=10)
    missing = []
    for sequence in letters:
        with answers(DEAD):
            try:
                await jetstream.delete_msg(DEAD, sequence)
            except APIError:
                if await show(client, sequence) is not None:
                    raise
                missing.append(sequence)
    return missing


async def purge(client: Client, customer: str | None = None, pipeline: str | None = None) -> int:
    """Deletes those of a customer, of one pipeline of it, or all there are; returns how many. Raises NatsError,
    and ConfigError for what is no name."""
    purged = await subjects.purge(client, DEAD, dead_subject(customer, pipeline))
    await subjects.purge(client, DEAD, original_subject(customer, pipeline))
    return purged


def _letter(sequence: int, subject: str, headers: dict[str, str], stored_ms: int, payload: bytes = b"") -> DeadLetter:
    tokens = subject.split(".", 4) + [""] * 5
    step = headers.get("Vrsky-Step") or tokens[4]
    is_letter = tokens[1] == "dead"
    return DeadLetter(sequence, tokens[2], tokens[3], step, headers, payload, stored_ms, is_letter)
