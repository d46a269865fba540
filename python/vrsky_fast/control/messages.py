"""Messages that wait: in the lanes, and parked. Read without a consumer, so that nothing is taken from a node.

A lane is a work queue, and the server takes no second consumer on it. `STREAM.MSG.GET` reads a stored message by its
number, or the next one of some subjects, and leaves it where it is.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from .._native import is_name
from ..facts import STREAMS
from . import headers as of_message
from . import subjects
from .answers import answers
from .streams import Stream, own_lanes_among, parked_subject, waiting, within

_PARKED_TYPE = "parked"
TYPES = (*dict.fromkeys(one.consumer for one in STREAMS if one.consumer is not None), _PARKED_TYPE)
"""What a message can wait for: a part of its pipeline, such as `logic` or `outgoing`; or it is parked."""

MAX_SEARCHED = 10_000
"""Messages of a customer that are read at most to find one by its id."""


@dataclass(frozen=True)
class WaitingMessage:
    """One that waits. `step` is `in` for the steps of its pipeline, else the name of its out. `age_ms` is how long the
    stream has it, on the server's clock. `is_delivered`: whether a node has got it at least once; None when nobody
    reads the stream."""

    stream: str
    sequence: int
    type: str
    customer: str
    pipeline: str
    step: str
    headers: dict[str, str] = field(repr=False)
    payload: bytes = field(repr=False)
    stored: datetime
    age_ms: int
    is_delivered: bool | None

    @property
    def place(self) -> str:
        """Names it for `find`: `VRSKY_LOGIC_T1000_0:17`."""
        return f"{self.stream}:{self.sequence}"

    @property
    def stored_ms(self) -> int:
        return _milliseconds(self.stored)

    @property
    def id(self) -> str:
        return of_message.message_id(self.headers)

    def as_json(self) -> dict[str, object]:
        return {
            "place": self.place,
            "type": self.type,
            "customer": self.customer,
            "pipeline": self.pipeline,
            "step": self.step,
            "id": self.id,
            "came_ms": of_message.number(self.headers, "Vrsky-Time"),
            "stored_ms": self.stored_ms,
            "age_ms": self.age_ms,
            "bytes": len(self.payload),
            "delivered": self.is_delivered,
        }


@dataclass(frozen=True)
class Found:
    """The oldest ones, oldest first, and whether there are more."""

    messages: list[WaitingMessage]
    has_more: bool


@dataclass(frozen=True)
class _State:
    """What the server says of a stream: its clock, and up to which number its consumers have got messages."""

    stream: Stream
    now: datetime
    consumers: list[dict[str, Any]]

    @property
    def type(self) -> str:
        return self.stream.consumer or _PARKED_TYPE

    def is_delivered(self, subject: str, sequence: int) -> bool | None:
        reached = [one["delivered"]["stream_seq"] for one in self.consumers if _reads(one["config"], subject)]
        return max(reached) >= sequence if reached else None


async def oldest(
    client: Client,
    limit: int,
    customer: str | None = None,
    pipeline: str | None = None,
    types: Collection[str] = (),
) -> Found:
    """The oldest `limit` messages; `types` empty means all TYPES. Raises NatsError, and ConfigError for what is no
    name."""
    found: list[WaitingMessage] = []
    async for message in _oldest_first(client, customer, pipeline, types):
        if len(found) == limit:
            return Found(found, True)
        found.append(message)
    return Found(found, False)


async def find(client: Client, wanted: str) -> WaitingMessage | None:
    """By its place, `STREAM:NUMBER`, or by its id. None when it does not wait, or not among the oldest MAX_SEARCHED of
    its customer. Raises NatsError."""
    name, colon, number = wanted.rpartition(":")
    if colon:
        return await _at(client, name, int(number)) if number.isascii() and number.isdigit() else None
    customer = wanted.partition(".")[0]
    if not is_name(customer):
        return None
    read = 0
    async for message in _oldest_first(client, customer, None, ()):
        read += 1
        if message.id == wanted:
            return message
        if read == MAX_SEARCHED:
            break
    return None


async def _at(client: Client, name: str, sequence: int) -> WaitingMessage | None:
    stream = next((one for one in (*waiting(), *own_lanes_among([name])) if one.name == name), None)
    if stream is None or (state := await _state(client, stream)) is None:
        return None
    return await _message(client, state, sequence)


async def _oldest_first(
    client: Client, customer: str | None, pipeline: str | None, types: Collection[str]
) -> AsyncIterator[WaitingMessage]:
    """Of all streams, by the time at which they were stored."""
    parked_subject(customer, pipeline, None)  # raises for what is no name, also without a stream
    there = set(await subjects.streams_of(client, "vrsky.>"))
    heads: list[tuple[datetime, int, WaitingMessage, _State, str]] = []

    async def push(number: int, state: _State, subject: str, start: int) -> None:
        message = await _message(client, state, start, subject)
        if message is not None:
            heapq.heappush(heads, (message.stored, number, message, state, subject))

    known = (*(one for one in waiting() if one.name in there), *own_lanes_among(there))
    own = (one for one in known if one.customer is None or customer in {None, one.customer})
    wanted = [one for one in own if not types or (one.consumer or _PARKED_TYPE) in types]
    for number, stream in enumerate(wanted):
        state = await _state(client, stream)
        if state is not None:
            await push(number, state, within(stream, customer, pipeline), 1)
    while heads:
        _, number, message, state, subject = heapq.heappop(heads)
        yield message
        await push(number, state, subject, message.sequence + 1)


async def _state(client: Client, stream: Stream) -> _State | None:
    """None when the stream is not there."""
    # Without a filter of subjects, of which there may be thousands.
    told = await subjects.ask(client, f"STREAM.INFO.{stream.name}", {}, stream.name)
    if told is None:
        return None
    return _State(stream, datetime.fromisoformat(told["ts"]), await subjects.consumers_of(client, stream.name))


async def _message(client: Client, state: _State, sequence: int, subject: str | None = None) -> WaitingMessage | None:
    """The one of this number; with `subject` the first from there on that has such a subject."""
    name = state.stream.name
    with answers(name):
        try:
            jetstream = client.jetstream(timeout=10)
            message = await jetstream.get_msg(name, sequence, subject, next=subject is not None)
        except NotFoundError:
            return None
    tokens = (message.subject or "").split(".")
    if len(tokens) < 5:
        return None
    customer, pipeline, step = tokens[-3:]
    stored = message.time or state.now
    return WaitingMessage(
        stream=name,
        sequence=message.seq or 0,
        type=state.type,
        customer=customer,
        pipeline=pipeline,
        step="in" if step == "_in" else step,
        headers=of_message.read(message.headers),
        payload=message.data or b"",
        stored=stored,
        age_ms=max(0, _milliseconds(state.now) - _milliseconds(stored)),
        is_delivered=state.is_delivered(message.subject or "", message.seq or 0),
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _reads(config: dict[str, Any], subject: str) -> bool:
    """Whether a consumer gets messages of this subject. Ours have one filter without wildcards, or none."""
    return config.get("filter_subject", "") in ("", subject) and not config.get("filter_subjects")
