"""What the bucket vrsky_pipelines holds and held, and how it is changed: one key at a time, by compare-and-set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from nats.aio.client import Client

from ..config import InvalidConfig
from ..config.problem import Problem
from ..config.stored import Canary, Stored, decode
from .buckets import DELETED, PIPELINES, Conflict, Entry, name_of, put, when, who
from .failure import fail
from .watch import entries_if_any, entries_of

# More customers than these are found in all of the bucket.
_MAX_PATTERNS = 20
# Who deleted a key, and why: the marker has no value that could say it.
_USER, _NOTE = "Vrsky-User", "Vrsky-Note"


@dataclass(frozen=True, slots=True)
class Revision:
    """What a key holds, or held. `stored` is None where it was deleted, or where the value is no pipeline, as
    `problem` says then. `time` is the server's, in seconds since 1970."""

    key: str
    sequence: int
    time: float
    user: str
    note: str
    stored: Stored | None
    problem: Problem | None = None

    @property
    def is_deleted(self) -> bool:
        return self.stored is None and self.problem is None

    @property
    def customer(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return name_of(self.key)

    @property
    def revision(self) -> str | None:
        return None if self.stored is None else self.stored.revision

    @property
    def canary(self) -> Canary | None:
        return None if self.stored is None else self.stored.canary

    @property
    def when(self) -> str:
        return when(self.time)

    def as_json(self) -> dict[str, object]:
        return {
            "revision": self.revision,
            "canary": None if self.canary is None else self.canary.as_json(),
            "deleted": self.is_deleted,
            "sequence": self.sequence,
            "user": self.user,
            "note": self.note,
            "time_ms": int(self.time * 1000),
            "problem": None if self.problem is None else self.problem.as_json(),
        }


async def current(client: Client, customers: Collection[str] | None = None) -> dict[str, Revision]:
    """By key, deleted ones included; of these customers, or of all. None before the bucket is made. Raises
    NatsError."""
    patterns = [f"{one}.>" for one in sorted(customers or ())]
    if customers is None or len(patterns) > _MAX_PATTERNS:
        patterns = [">"]
    found = await entries_if_any(client, PIPELINES, patterns) if patterns else []
    revisions = map(_revision, found)
    return {one.key: one for one in revisions if customers is None or one.customer in customers}


async def history(client: Client, key: str) -> list[Revision]:
    """The oldest first, at most 10. Raises NatsError, and ConfigError where the key never was."""
    found = [_revision(one) for one in await entries_of(client, PIPELINES, (key,), history=True)]
    return found or fail("config/unknown-pipeline", f"there is no {name_of(key)} in vrsky_pipelines")


async def last_of(client: Client, key: str) -> Revision | None:
    """What the key holds, a marker of its deletion included; None where it never was. Raises NatsError."""
    found = await entries_of(client, PIPELINES, (key,))
    return _revision(found[-1]) if found else None


def _revision(entry: Entry) -> Revision:
    if entry.value is None:
        user, note = entry.headers.get(_USER, ""), entry.headers.get(_NOTE, "")
        return Revision(entry.key, entry.sequence, entry.time, user, note, None)
    try:
        stored = decode(entry.key, entry.value)
    except InvalidConfig as invalid:
        return Revision(entry.key, entry.sequence, entry.time, "", "", None, invalid.problems[0])
    return Revision(entry.key, entry.sequence, entry.time, stored.user, stored.note, stored)


async def write(client: Client, stored: Stored, last: int) -> int:
    """Puts it where the key still holds what has the sequence `last`, 0 for nothing; the new sequence. Raises
    ConfigError `config/changed-meanwhile`, which says who was quicker, and NatsError, `nats/max-payload` for a
    document that is too large."""
    value = stored.encode()
    if len(value) > client.max_payload:
        reason = f"{stored.name} takes {len(value):,} bytes in the bucket, and the server takes {client.max_payload:,}"
        fail("nats/max-payload", reason)
    return await _put(client, stored.key, value, {}, last)


async def delete(client: Client, key: str, user: str, note: str, last: int) -> int:
    """The same for a marker that the key is deleted."""
    return await _put(client, key, b"", DELETED | {_USER: _header(user), _NOTE: _header(note)}, last)


async def _put(client: Client, key: str, value: bytes, headers: dict[str, str], last: int) -> int:
    try:
        return await put(client, PIPELINES, key, value, headers, last)
    except Conflict:
        await _name_other(client, key)


async def _name_other(client: Client, key: str) -> NoReturn:
    other, name = await last_of(client, key), name_of(key)
    if other is None:
        fail("config/changed-meanwhile", f"{name} was purged meanwhile")
    what = "deleted" if other.is_deleted else f"changed to revision {other.revision}"
    fail("config/changed-meanwhile", f"{name} was {what} by {who(other.user, other.note)} at {other.when}")


def _header(text: str) -> str:
    """What a header carries."""
    return "".join(one if one.isprintable() and one.isascii() else "?" for one in text)
