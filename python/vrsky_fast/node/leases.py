"""The leases of this node: it takes sources that are free, keeps its own, and gives up what it may not have.

    vrsky_leases ──watch──► view ──┐
                                   ├─► step: join · renew · clear who is gone · take · give back ──► engine.lease
    pipelines that run here ───────┘         └── every second, over the same connection

`control/leases.py` says why no two nodes read one source. The engine holds the deadline: it gives its sources up by
itself when no renewal has come in time, also while nothing of this module runs.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from nats.aio.client import Client

from ..control.buckets import Conflict, make
from ..control.connection import connect
from ..control.leases import (
    BEAT_MS,
    LEASES,
    VALID_MS,
    Key,
    Session,
    View,
    is_slot,
    rank,
    write_slot,
    write_source,
)
from ..control.server_config import Endpoint
from ..control.watch import Watch
from ..errors import VrskyError

# Between two looks at what is due.
_STEP_SECONDS = 0.2
_AGAIN_SECONDS = 0.5
# A renewal that takes longer is tried over another connection.
_RENEW_SECONDS = 1.5
# Sources that are taken at a time, so that a renewal is never late for them.
_AT_ONCE = 256
# How long the nodes that come first for a free source are waited for: each of them, and all of them.
_RANK_MS, _RANKS = 250, 4
# The same where nobody ever had it: nodes that start together share the sources.
_NEW_RANK_MS = 1_500
_CLOSE_SECONDS = 5.0
_SHOWN = 3


@dataclass(frozen=True)
class Member:
    """Who this node is among those that serve the same pipelines."""

    id: str
    customer: str | None
    replicas: int | None


class Grants(Protocol):
    """The engine, as far as it is needed here; see `_native.Node`."""

    def boot_ms(self) -> int: ...

    def begin_lease(self, until_ms: int) -> None: ...

    def renew_lease(self, until_ms: int) -> bool: ...

    async def lease(self, grant: Collection[Key], revoke: Collection[Key]) -> None: ...


@dataclass
class HeldLeases:
    """When each source was taken, by the server's clock; how often that was since the start, and how it ended."""

    since: dict[Key, float] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=lambda: {"taken": 0, "given": 0, "lost": 0})


@dataclass
class _Joined:
    """`sequence` is that of the slot's value; `until` is when the lease is over, unless it is renewed."""

    session: Session
    slot: int
    sequence: int
    sent: int
    until: int


class LeaseKeeper:
    """`run` works until it is cancelled. `close` gives everything back, while `run` goes on. `wanted` are the pipelines
    of this node whose sources one node alone may read."""

    def __init__(
        self,
        endpoint: Endpoint,
        member: Member,
        engine: Grants,
        wanted: Callable[[], frozenset[Key]],
        note: Callable[[str], None],
    ) -> None:
        self._endpoint, self._member, self._engine = endpoint, member, engine
        self._wanted, self._note = wanted, note
        self._watch, self._view = Watch(LEASES), View()
        self._news = asyncio.Event()
        self._joined: _Joined | None = None
        # With the sequence of the record that says so.
        self._granted: dict[Key, int] = {}
        self._is_fresh = False
        self._ending: dict[asyncio.Task[None], frozenset[Key]] = {}
        self._free: dict[Key, int] = {}
        self._closing, self._ended, self._left = False, False, asyncio.Event()
        self._said = ""
        self._changes = HeldLeases().changes

    @property
    def held(self) -> HeldLeases:
        joined = self._joined
        if joined is None or joined.until <= self._engine.boot_ms():
            return HeldLeases({}, self._changes)
        # A copy: a scrape is answered by another thread.
        granted, sources = list(self._granted), self._view.sources
        found = {key: one.time for key in granted if (one := sources.get(key)) is not None}
        return HeldLeases(found, self._changes)

    async def run(self) -> NoReturn:
        while True:
            try:
                async with connect(self._endpoint) as client:
                    await make(client, LEASES, self._member.replicas)
                    await self._work(client)
            except (VrskyError, OSError) as error:
                if str(error) != self._said and self._wanted():
                    self._said = str(error)
                    self._note(f"the leases of sources cannot be looked after, which is tried again: {error}")
            await asyncio.sleep(_AGAIN_SECONDS)

    async def close(self) -> None:
        """Ends the sources, then lets others have them at once; if that takes too long, a few seconds later. Raises
        nothing."""
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._end_all()
                self._ended = True
                if self._joined is not None:
                    self._news.set()
                    await self._left.wait()

    async def _end_all(self) -> None:
        while self._granted:  # one may have been taken meanwhile
            granted, self._granted = self._granted, {}
            self._changes["given"] += len(granted)
            await self._engine.lease((), granted)

    # -- the connection -------------------------------------------------------------------------

    async def _work(self, client: Client) -> None:
        """Until the connection, or one of both, ends."""
        tasks = [asyncio.create_task(self._follow(client)), asyncio.create_task(self._keep(client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                await one
        finally:
            # A cancellation that comes together with an answer may be passed over.
            while pending := [one for one in tasks if not one.done()]:
                for one in pending:
                    one.cancel()
                await asyncio.wait(pending, timeout=_STEP_SECONDS)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, client: Client) -> None:
        # All of it, each time: a server that was restored knows less than it did.
        self._watch.forget()
        async for batch in self._watch.follow(client):
            was_current = self._view.is_current and not batch.begins
            self._view.take(batch, self._engine.boot_ms())
            if self._view.is_current and not was_current:
                self._is_fresh = True
            # A renewal of another node is nothing to act on.
            if self._is_fresh or any(one.value is None or not is_slot(one.key) for one in batch.entries):
                self._news.set()

    async def _keep(self, client: Client) -> None:
        # What was seen over an earlier connection is not what is.
        self._view.is_current = False
        while True:
            if self._view.is_current:
                await self._step(client)
                self._said = ""
            self._news.clear()
            # Not `wait_for`, which passes over a cancellation that comes together with the news.
            with suppress(TimeoutError):
                async with asyncio.timeout(_STEP_SECONDS):
                    await self._news.wait()

    async def _step(self, client: Client) -> None:
        if self._closing:
            await self._leave(client)
            return
        await self._clear_expired(client)
        if self._joined is None:
            await self._join(client)
        elif self._engine.boot_ms() - self._joined.sent >= BEAT_MS:
            await self._renew(client, self._joined)
        if (joined := self._joined) is not None:
            self._give_back(joined)
            await self._forget_given(client, joined)
            await self._take(client, joined)

    # -- the session ----------------------------------------------------------------------------

    async def _join(self, client: Client) -> None:
        if not self._wanted():
            return
        session = Session(secrets.token_hex(8), self._member.id, self._member.customer)
        number, last = self._view.free_slot()
        sent = self._engine.boot_ms()
        try:
            sequence = await write_slot(client, number, session, last)
        except Conflict:
            # Another node was quicker, which the watch is about to tell.
            return
        self._joined = _Joined(session, number, sequence, sent, sent + VALID_MS)
        self._engine.begin_lease(sent + VALID_MS)

    async def _renew(self, client: Client, joined: _Joined) -> None:
        sent = self._engine.boot_ms()
        try:
            async with asyncio.timeout(_RENEW_SECONDS):
                joined.sequence = await write_slot(client, joined.slot, joined.session, joined.sequence)
        except TimeoutError:
            raise OSError(f"{LEASES.name}: a renewal was not answered in {_RENEW_SECONDS} s") from None
        except Conflict:
            await self._on_conflict(joined)
            return
        joined.sent, joined.until = sent, max(joined.until, sent + VALID_MS)
        if not self._engine.renew_lease(joined.until):
            await self._lose(client, joined)

    async def _on_conflict(self, joined: _Joined) -> None:
        """The slot is another's, or a renewal was stored whose answer was lost: the watch knows."""
        slot = self._view.slots.get(joined.slot)
        if slot is not None and slot.session is not None and slot.session.id == joined.session.id:
            joined.sequence = slot.sequence
            return
        await self._drop()

    async def _lose(self, client: Client, joined: _Joined) -> None:
        """The engine has given its sources up already; nobody is to wait for this session."""
        await self._drop()
        with suppress(Conflict):
            await write_slot(client, joined.slot, None, joined.sequence)

    async def _drop(self) -> None:
        granted, self._granted, self._joined = self._granted, {}, None
        self._free.clear()
        self._changes["lost"] += len(granted)
        if granted:
            self._note(f"the lease of {_named(granted)} is lost: another node may read there now")
        # Before the next session begins nothing may come of this one.
        await self._engine.lease((), granted.keys() | self._being_ended())

    async def _leave(self, client: Client) -> None:
        if self._joined is not None and self._ended and not self._ending:
            with suppress(Conflict):
                await write_slot(client, self._joined.slot, None, self._joined.sequence)
            self._joined = None
            self._left.set()
        elif self._joined is not None and self._engine.boot_ms() - self._joined.sent >= BEAT_MS:
            await self._renew(client, self._joined)

    async def _clear_expired(self, client: Client) -> None:
        """What the nodes had that said nothing for so long is free then."""
        own = self._joined.slot if self._joined is not None else None
        for number, slot in self._view.expired(self._engine.boot_ms()).items():
            if number == own:
                continue
            try:
                await write_slot(client, number, None, slot.sequence)
            except Conflict:
                continue  # it lives
            if slot.session is not None:
                self._note(f"the node {slot.session.node} holds its leases no more: it has said nothing for 5 s")

    # -- sources --------------------------------------------------------------------------------

    def _being_ended(self) -> set[Key]:
        return set().union(*self._ending.values())

    def _give_back(self, joined: _Joined) -> None:
        """What does not run here any more, and what the bucket says is another's."""
        gone = self._granted.keys() - self._wanted()
        others = {key for key, last in self._granted.items() if key not in gone and self._is_others(key, last, joined)}
        self._is_fresh = False
        if not gone and not others:
            return
        for key in gone | others:
            del self._granted[key]
        self._changes["given"] += len(gone)
        self._changes["lost"] += len(others)
        if others:
            self._note(f"the lease of {_named(others)} is lost: the bucket says that another node has it")
        keys = frozenset(gone | others)
        task = asyncio.create_task(self._engine.lease((), keys))
        self._ending[task] = keys
        task.add_done_callback(lambda done: self._ending.pop(done, None))

    def _is_others(self, key: Key, last: int, joined: _Joined) -> bool:
        """What the watch has told may be behind what was written, but for a snapshot."""
        source = self._view.sources.get(key)
        if source is None:
            return self._is_fresh
        return source.session != joined.session.id and (self._is_fresh or source.sequence > last)

    async def _forget_given(self, client: Client, joined: _Joined) -> None:
        """Lets others have what was ended here."""
        wanted, ending = self._wanted(), self._being_ended()
        ours = [key for key, one in self._view.sources.items() if one.session == joined.session.id]
        for key in [one for one in ours if one not in wanted and one not in ending and one not in self._granted]:
            with suppress(Conflict):
                await write_source(client, key, None, self._view.sources[key].sequence)

    async def _take(self, client: Client, joined: _Joined) -> None:
        free = self._takes(joined)[:_AT_ONCE]
        if not free:
            return
        done = await asyncio.gather(*(self._write(client, key, joined) for key in free), return_exceptions=True)
        taken = {key: result for key, result in zip(free, done, strict=True) if isinstance(result, int) and result > 0}
        if taken and not self._closing and self._engine.boot_ms() < joined.until:
            self._granted |= taken
            await self._engine.lease(taken, ())
            self._changes["taken"] += len(taken)
            self._note(f"{_named(taken)}: read by this node from now on, by a lease")
        for result in done:
            if isinstance(result, BaseException):
                raise result

    def _takes(self, joined: _Joined) -> list[Key]:
        now, live = self._engine.boot_ms(), self._view.live
        missing = self._wanted() - self._granted.keys() - self._being_ended()
        for key in self._free.keys() - missing:
            del self._free[key]
        if not missing or not self._view.is_settled(now):
            return []
        found = []
        for key in missing:
            source = self._view.sources.get(key)
            holder = source.session if source is not None else None
            if holder == joined.session.id:
                found.append(key)
            elif holder in live:
                self._free.pop(key, None)
            else:
                if key not in self._free:
                    pause = _RANK_MS if holder is not None else _NEW_RANK_MS
                    self._free[key] = now + pause * min(rank(joined.session, key, live.values()), _RANKS)
                if self._free[key] <= now:
                    found.append(key)
        return found

    async def _write(self, client: Client, key: Key, joined: _Joined) -> int:
        """The sequence of the record that makes it ours; 0 when another was quicker."""
        source = self._view.sources.get(key)
        if source is not None and source.session == joined.session.id:
            return source.sequence
        try:
            async with asyncio.timeout(_RENEW_SECONDS):
                return await write_source(client, key, joined.session, source.sequence if source is not None else 0)
        except TimeoutError:
            raise OSError(f"{LEASES.name}: a lease was not answered in {_RENEW_SECONDS} s") from None
        except Conflict:
            return 0


def _named(keys: Iterable[Key]) -> str:
    """Some of them, and how many more there are."""
    names: Sequence[str] = sorted(f"{customer}/{pipeline}" for customer, pipeline in keys)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
