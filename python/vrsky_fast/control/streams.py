"""The streams of a deployment: which of those that the engine knows, and how they share a disk.

A lane is a stream with one unfiltered durable consumer; a tier is a class of streams, since the cap on
messages per subject is one number a stream. Names, subjects and caps are the engine's (`facts`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from .._native import is_name, subject_token
from ..facts import (
    ASIDE_SUBJECT,
    DEAD,
    DEAD_SUBJECT,
    DEFAULTS,
    KEYS,
    ORIGINAL_SUBJECT,
    OWN_LANES,
    PARKED,
    STREAMS,
    TIERS,
    TOPOLOGIES,
    StreamFact,
)
from .failure import fail

__all__ = [
    "DEAD",
    "KEYS",
    "OWN_SUBJECTS",
    "PARKED",
    "STEPS",
    "Stream",
    "dead",
    "dead_subject",
    "keys",
    "lane",
    "lanes_of",
    "left_behind",
    "original_subject",
    "own_lanes",
    "own_lanes_among",
    "parked",
    "sharing",
    "topology",
    "waiting",
    "within",
]

STEPS = ASIDE_SUBJECT.rpartition(".")[2]
"""In place of an out: parked messages that wait for the steps of their pipeline. No out has this name."""

OWN_SUBJECTS = "vrsky.*.*.own.>"
"""Of all customers' own lanes."""

# No share is a smaller part of the room than one in so many.
_LEAST_PART = 64


@dataclass(frozen=True, slots=True)
class Stream:
    """`cap` is the most messages a subject may hold, `max_bytes` the most bytes of all of them; None for no
    cap. `consumer` is its durable; `more` are further subjects; `max_age` the seconds after which a message goes by
    itself; `replicas` the number of servers that hold it, None for what it has. `customer` is whose lane it is, where
    that is one customer's own."""

    name: str
    subject: str
    work_queue: bool
    cap: int | None = None
    consumer: str | None = None
    max_bytes: int | None = None
    more: tuple[str, ...] = ()
    max_age: float | None = None
    replicas: int | None = None
    customer: str | None = None

    @property
    def prefix(self) -> str:
        """What stands before the customer in its subjects, such as `vrsky.logic.t1000.0.`."""
        return self.subject.removesuffix(">" if self.customer is None else f"{self.customer}.>")

    @property
    def subjects(self) -> list[str]:
        return [self.subject, *self.more]


def lane(lane_type: str, tier: str, number: int) -> Stream:
    """Such as VRSKY_LOGIC_T1000_0 with vrsky.logic.t1000.0.> and the durable `logic`."""
    wanted = (lane_type, tier, number)
    return next(_stream(one) for one in STREAMS if (one.consumer, one.tier, one.lane) == wanted)


def dead() -> Stream:
    """Dead letters, and beside those of parts the whole messages."""
    return next(_stream(one) for one in STREAMS if one.name == DEAD)


def parked() -> Stream:
    """What waits for an out that fails. The node makes a consumer per out when there is something to bring back."""
    return next(_stream(one) for one in STREAMS if one.name == PARKED)


def keys() -> Stream:
    """A record of each `Idempotency-Key`, which says what came with it."""
    return next(_stream(one) for one in STREAMS if one.name == KEYS)


def lanes_of(tiers: Collection[str], number: int) -> Iterator[Stream]:
    """The lanes of this number, of every type and topology."""
    yield from (_stream(one) for one in STREAMS if one.tier in tiers and one.lane == number)


def own_lanes(customer: str, tiers: Collection[str] = TIERS) -> Iterator[Stream]:
    """All lanes that a customer of its own has, of every topology and of these tiers."""
    for one in (each for each in OWN_LANES if each.tier in tiers):
        name, subject = one.name.format(CUSTOMER=customer.upper()), one.subject.format(customer=customer)
        yield replace(_stream(one), name=name, subject=subject, customer=customer)


def own_lanes_among(names: Iterable[str]) -> list[Stream]:
    """Those of these streams that are lanes of one customer."""
    found: list[Stream] = []
    for name in sorted(names):
        for one in OWN_LANES:
            before = one.name.partition("{")[0]
            customer = name.removeprefix(before).lower()
            if name.startswith(before) and is_name(customer):
                found += [each for each in own_lanes(customer) if each.name == name]
    return found


def topology(
    tiers: Collection[str],
    lanes: int,
    replicas: int | None = None,
    name: str = DEFAULTS.topology,
    customer: str | None = None,
) -> Iterator[Stream]:
    """Every stream of a deployment of the topology `name`, with these backlog tiers and so many lanes in each; lanes
    come first. With a `customer` the lanes are that one's own."""
    types = TOPOLOGIES[name].lanes
    if customer is not None:
        own = (one for one in own_lanes(customer, tiers) if one.consumer in types)
        yield from (replace(one, replicas=replicas) for one in own)
        lanes = 0
    for one in STREAMS:
        is_lane = one.tier in tiers and one.consumer in types and one.lane is not None and one.lane < lanes
        if one.tier is None or is_lane:
            yield replace(_stream(one), replicas=replicas)


def waiting() -> Iterator[Stream]:
    """Every stream that messages wait in: all lanes of all tiers, then what is parked."""
    yield from (_stream(one) for one in STREAMS if one.consumer is not None)
    yield parked()


def left_behind(tiers: Collection[str], lanes: int, name: str, customer: str | None = None) -> Iterator[Stream]:
    """The lanes that only another topology than `name` has, and where it may have left messages."""
    for other in TOPOLOGIES:
        for one in topology(tiers, lanes, name=other, customer=customer):
            if one.consumer is not None and one.consumer not in TOPOLOGIES[name].lanes:
                yield one


def _stream(one: StreamFact) -> Stream:
    return Stream(one.name, one.subject, one.work_queue, one.cap, one.consumer, more=one.more, max_age=one.max_age)


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
    tokens = {"customer": _token("customer", customer), "pipeline": _token("pipeline", pipeline)}
    return DEAD_SUBJECT.format(**tokens, step=">")


def original_subject(customer: str | None, pipeline: str | None, message: str | None = None) -> str:
    """The whole messages of parts that are dead letters: of a customer, of one pipeline, of one message id, or all.
    Raises ConfigError for what is no name."""
    tokens = {"customer": _token("customer", customer), "pipeline": _token("pipeline", pipeline)}
    return ORIGINAL_SUBJECT.format(**tokens, message="*" if message is None else subject_token(message))


def parked_subject(customer: str | None, pipeline: str | None, out: str | None) -> str:
    """What is set aside for a customer, a pipeline, an out or STEPS, or all of them. Raises ConfigError for what is no
    name."""
    last = STEPS if out == STEPS else _token("out", out)
    return f"vrsky.parked.{_token('customer', customer)}.{_token('pipeline', pipeline)}.{last}"


def within(stream: Stream, customer: str | None, pipeline: str | None) -> str:
    """The subjects of a lane, or of the parked messages, that are a customer's or one pipeline's; `>` at their end.
    Raises ConfigError for what is no name."""
    return f"{stream.prefix}{_token('customer', customer)}.{_token('pipeline', pipeline)}.>"


def _token(what: str, name: str | None) -> str:
    if name is None:
        return "*"
    if not is_name(name):
        fail("config/invalid-name", f"{name!r} is no name of {'an' if what == 'out' else 'a'} {what}")
    return name
