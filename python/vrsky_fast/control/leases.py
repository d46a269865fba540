"""Who reads the sources that no two nodes may read: the bucket vrsky_leases.

    slot.<n>                         the session of a node that lives: written anew every second, by compare-and-set
    source.<customer>.<pipeline>     the session that reads it: written when somebody takes it, and not again

A source belongs to the session that its key names, for as long as a slot holds that session. So one small write a
second keeps all leases of a node, and one write gives all of them back: the session's slot is cleared.

**At most one at a time.** A node counts its lease from before it sent the renewal that was stored, for VALID_MS by its
own clock. Another node clears a slot only when it has seen no newer value for EXPIRED_MS by its own clock, which began
later and is longer, and only where the slot still holds that very value (compare-and-set). Then the lease is over, and
no renewal of it can be stored. No time of day counts, neither that of a node nor that of the server; only that the
clocks of two nodes run at about the same speed: 20 % may lie between them.

Slots are used again, so that the bucket holds as many as there were nodes at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from nats.aio.client import Client

from .buckets import DELETED, Bucket, Entry, put
from .watch import Batch, entries_if_any

LEASES = Bucket("vrsky_leases", 1, None, "file")

BEAT_MS = 1_000
VALID_MS = 4_000
EXPIRED_MS = 5_000

Key = tuple[str, str]
"""Customer and pipeline."""

_SLOT, _SOURCE = "slot.", "source."


@dataclass(frozen=True, slots=True)
class Session:
    """A node from when it joins until its lease is over. `customer` is None for a node that serves all."""

    id: str
    node: str
    customer: str | None

    def may_read(self, key: Key) -> bool:
        return self.customer in {None, key[0]}

    def encode(self) -> bytes:
        return json.dumps({"session": self.id, "node": self.node, "customer": self.customer}).encode()


@dataclass(frozen=True, slots=True)
class Slot:
    """`seen` is when this value of it was seen first, by the clock of who looks. Without a session it is free."""

    session: Session | None
    sequence: int
    seen: int


@dataclass(frozen=True, slots=True)
class Source:
    """`session` is None where nobody has it; `time` is when it was taken, by the server's clock."""

    session: str | None
    sequence: int
    time: float


@dataclass(frozen=True)
class Lease:
    """For people: `since` is in seconds since 1970, by the server's clock; `node` is None where the last holder is
    gone and nobody has taken it yet."""

    customer: str
    pipeline: str
    node: str | None
    since: float

    @property
    def key(self) -> str:
        """Of vrsky_pipelines."""
        return f"{self.customer}.{self.pipeline}"


def slot_key(number: int) -> str:
    return f"{_SLOT}{number}"


def is_slot(key: str) -> bool:
    return key.startswith(_SLOT)


def source_key(key: Key) -> str:
    return f"{_SOURCE}{key[0]}.{key[1]}"


@dataclass
class View:
    """What the bucket holds, as a watch tells it; `is_current` once a snapshot is complete. `since` is when this bucket
    was seen first: before EXPIRED_MS have passed from then on a lease may be held that it knows nothing of."""

    slots: dict[int, Slot] = field(default_factory=dict)
    sources: dict[Key, Source] = field(default_factory=dict)
    identity: str = ""
    since: int = 0
    is_current: bool = False
    _earlier: dict[int, Slot] = field(default_factory=dict)

    def take(self, batch: Batch, now: int) -> None:
        if batch.begins:
            same = batch.identity == self.identity
            self._earlier = self.slots if same else {}
            self.since = self.since if same else now
            self.slots, self.sources, self.identity, self.is_current = {}, {}, batch.identity, False
        for one in batch.entries:
            self._note(one, now)
        self.is_current |= batch.is_current

    def _note(self, one: Entry, now: int) -> None:
        if one.key.startswith(_SLOT) and (number := one.key.removeprefix(_SLOT)).isdecimal():
            slot = Slot(_session(one), one.sequence, now)
            before = self.slots.get(int(number)) or self._earlier.get(int(number))
            if before is not None and before.sequence == slot.sequence:
                slot = replace(slot, seen=before.seen)
            self.slots[int(number)] = slot
        elif one.key.startswith(_SOURCE):
            customer, _, pipeline = one.key.removeprefix(_SOURCE).partition(".")
            self.sources[customer, pipeline] = Source(_holder(one), one.sequence, one.time)

    @property
    def live(self) -> dict[str, Session]:
        """By their ids: those that have a slot."""
        return {one.session.id: one.session for one in self.slots.values() if one.session is not None}

    def expired(self, now: int) -> dict[int, Slot]:
        """Slots whose node may be taken for dead."""
        return {
            number: one
            for number, one in self.slots.items()
            if one.session is not None and now - one.seen >= EXPIRED_MS
        }

    def free_slot(self) -> tuple[int, int]:
        """The first that nobody has, with its sequence: 0 where there never was one."""
        number = 0
        while (slot := self.slots.get(number)) is not None and slot.session is not None:
            number += 1
        return number, slot.sequence if slot is not None else 0

    def is_settled(self, now: int) -> bool:
        """Whether it knows everybody who may hold a lease."""
        return self.is_current and now - self.since >= EXPIRED_MS


def rank(own: Session, key: Key, live: Iterable[Session]) -> int:
    """How many sessions come before this one where a source is free: another order for each source, and the same on all
    nodes."""

    def weight(session: str) -> bytes:
        return hashlib.blake2b(f"{session} {key[0]}/{key[1]}".encode(), digest_size=8).digest()

    mine = weight(own.id)
    return sum(weight(one.id) > mine for one in live if one.id != own.id and one.may_read(key))


async def write_slot(client: Client, number: int, session: Session | None, last: int) -> int:
    """The sequence. Without a session it is cleared. Raises Conflict where it holds something else than `last`, and
    NatsError."""
    value, headers = (b"", DELETED) if session is None else (session.encode(), {})
    return await put(client, LEASES, slot_key(number), value, headers, last)


async def write_source(client: Client, key: Key, session: Session | None, last: int) -> int:
    """The same for a source."""
    value, headers = (b"", DELETED) if session is None else (json.dumps({"session": session.id}).encode(), {})
    return await put(client, LEASES, source_key(key), value, headers, last)


async def leases(client: Client, customers: Iterable[str] | None = None) -> list[Lease]:
    """Of some customers, or of all; none before the first node has made the bucket. Raises NatsError."""
    patterns = [">"] if customers is None else ["slot.>", *(f"source.{one}.>" for one in customers)]
    view = View()
    view.take(Batch(await entries_if_any(client, LEASES, patterns), begins=True, is_current=True), 0)
    return _leases(view.sources, view.live)


def _leases(sources: Mapping[Key, Source], live: Mapping[str, Session]) -> list[Lease]:
    found = []
    for (customer, pipeline), one in sorted(sources.items()):
        if one.session is not None:
            holder = live.get(one.session)
            found.append(Lease(customer, pipeline, holder.node if holder else None, one.time))
    return found


def _session(one: Entry) -> Session | None:
    """None for what was cleared. A value of a later version counts as a session that nobody else has."""
    if one.value is None:
        return None
    try:
        whole = json.loads(one.value)
        customer = whole.get("customer")
        return Session(str(whole["session"]), str(whole["node"]), None if customer is None else str(customer))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Session(f"unknown {one.sequence}", "unknown", None)


def _holder(one: Entry) -> str | None:
    if one.value is None:
        return None
    try:
        return str(json.loads(one.value)["session"])
    except (ValueError, KeyError, TypeError, RecursionError):
        # Written by hand: nobody has it.
        return None
