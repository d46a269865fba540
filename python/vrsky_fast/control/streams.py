"""Streams, consumers and subjects: the Python side of what the native engine expects.

A lane is a stream with one unfiltered durable consumer; a tier is a class of streams, since the cap on
messages per subject is one number a stream. Changing anything here is changing the topology.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..names import is_name
from .failure import fail

TIERS = {"t1000": 1_000, "t10000": 10_000}
LANE_TYPES = ("logic", "outgoing")
DEAD = "VRSKY_DEAD"
PARKED = "VRSKY_PARKED"
KEYS = "VRSKY_KEYS"
# For so long an `Idempotency-Key` stands for the body that came with it first.
KEY_WINDOW_SECONDS = 24 * 3600.0
# Of one out: ten times what the largest tier holds, and still some GB of small messages at most.
PARKED_CAP = 100_000
# What a subject cannot hold, or has a meaning there: as the node replaces it.
_NO_TOKEN = re.compile(r"[^0-9A-Za-z:_]")
# No share is a smaller part of the room than one in so many.
_LEAST_PART = 64
# Longer than ack_wait plus the retries of a publish, or a repeated one would count as new.
DUPLICATE_WINDOW_SECONDS = 30.0
ACK_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stream:
    """`cap` is the most messages a subject may hold, `max_bytes` the most bytes of all of them; None for no
    cap. `consumer` is its durable; `more` are further subjects; `max_age` the seconds after which a message goes by
    itself."""

    name: str
    subject: str
    work_queue: bool
    cap: int | None = None
    consumer: str | None = None
    max_bytes: int | None = None
    more: tuple[str, ...] = ()
    max_age: float | None = None

    @property
    def subjects(self) -> list[str]:
        return [self.subject, *self.more]


def lane(lane_type: str, tier: str, number: int) -> Stream:
    """VRSKY_LOGIC_T1000_0 with vrsky.logic.t1000.0.> and the durable `logic`."""
    return Stream(
        name=f"VRSKY_{lane_type}_{tier}_{number}".upper(),
        subject=f"vrsky.{lane_type}.{tier}.{number}.>",
        work_queue=True,
        cap=TIERS[tier],
        consumer=lane_type,
    )


def dead() -> Stream:
    """Dead letters, and beside those of parts the whole messages: vrsky.original.<customer>.<pipeline>.<id>."""
    return Stream(name=DEAD, subject="vrsky.dead.>", work_queue=False, more=("vrsky.original.>",))


def parked() -> Stream:
    """vrsky.parked.<customer>.<pipeline>.<out>: what waits for an out that fails. The node makes a
    consumer per out when there is something to bring back."""
    return Stream(name=PARKED, subject="vrsky.parked.>", work_queue=True, cap=PARKED_CAP)


def keys() -> Stream:
    """vrsky.key.<customer>.<hash>: a record of each `Idempotency-Key`, which says what came with it."""
    return Stream(name=KEYS, subject="vrsky.key.>", work_queue=False, cap=1, max_age=KEY_WINDOW_SECONDS)


def topology(tiers: list[str], lanes: int) -> Iterator[Stream]:
    """Every stream of a deployment."""
    for lane_type in LANE_TYPES:
        for tier in tiers:
            for number in range(lanes):
                yield lane(lane_type, tier, number)
    yield dead()
    yield parked()
    yield keys()


def sharing(wanted: list[Stream], room: int, held: Mapping[str, int]) -> list[Stream]:
    """The same streams on a disk with `room` bytes for them, three quarters of which they may fill.

    A message moves by being stored in the next stream before it is deleted from the one it is in. With a share
    each, a full stream stops the one before it and never the one after: what is stored can always leave. A stream
    that holds more than its share (`held`: bytes by name) keeps that, at the cost of the others.
    """
    room_left, sharers = room * 3 // 4, len(wanted)
    for bytes_held in sorted((held.get(stream.name, 0) for stream in wanted), reverse=True):
        if bytes_held * sharers <= room_left:
            break
        room_left, sharers = room_left - bytes_held, sharers - 1
    # Little, when others have taken the disk, but never nothing.
    share = max(room_left // max(sharers, 1), room // _LEAST_PART, 1)
    return [replace(stream, max_bytes=max(share, held.get(stream.name, 0))) for stream in wanted]


def dead_subject(customer: str | None, pipeline: str | None) -> str:
    """The dead letters of a customer, of one pipeline, or of all. Raises ConfigError for what is no name:
    a wildcard would ask for those of others."""
    return f"vrsky.dead.{_token('customer', customer)}.{_token('pipeline', pipeline)}.>"


def original_subject(customer: str | None, pipeline: str | None, message: str | None = None) -> str:
    """The whole messages of parts that are dead letters: of a customer, of one pipeline, of one message id, or all.
    Raises ConfigError for what is no name."""
    names = f"{_token('customer', customer)}.{_token('pipeline', pipeline)}"
    return f"vrsky.original.{names}.{'*' if message is None else _NO_TOKEN.sub('-', message)}"


def _token(what: str, name: str | None) -> str:
    if name is None:
        return "*"
    if not is_name(name):
        fail("config/invalid-name", f"{name!r} is no name of a {what}")
    return name
