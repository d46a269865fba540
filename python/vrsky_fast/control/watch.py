"""A bucket as it is, and what changes in it: one ordered consumer, made again from where it ended.

    STREAM.INFO ─► the stream that was followed before, and nothing lost of it?
                      yes: deliver from the next sequence      no: deliver the last value of every key (a snapshot)
                                   └────────────► batches of entries ◄─────────┘

A session ends when the connection does, when the server falls silent (it sends heartbeats) or when a message is
missing; the next session goes on after the last entry. No comparison of everything is needed: a key that has gone
without a trace, such as a purged delete marker, shows in the number of keys, and leads to a snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from ..errors import NatsError
from .answers import answers
from .buckets import Bucket, Entry, entry_of, missing
from .failure import fail
from .subjects import ask

_HEARTBEAT_SECONDS = 2.0
# Without a word from the server.
_SILENT_SECONDS = 7.0
# Between two looks at the connection.
_LOOK_SECONDS = 0.5
_MAX_BATCH = 512


@dataclass(frozen=True, slots=True)
class Batch:
    """Some entries, in their order. `begins` with the first ones of a snapshot; `is_current` when nothing more waits,
    which ends a snapshot. `is_other` is set in a snapshot of a stream that is not the one that was followed before;
    `identity` is that of `buckets.identity`."""

    entries: Sequence[Entry]
    begins: bool
    is_current: bool
    is_other: bool = False
    identity: str = ""


class Watch:
    """Follows the keys that match one of `patterns`; all of them by default. It remembers where it is between
    sessions."""

    def __init__(self, bucket: Bucket, patterns: Sequence[str] = (">",)) -> None:
        self._bucket, self._patterns = bucket, patterns
        self._created = ""
        self._sequence = 0
        # None where only some keys are followed: there is no cheap way to count them, and few come in a snapshot.
        self._keys: set[str] | None = set()
        self._later: set[str] = set()

    def forget(self) -> None:
        """The next session begins with a snapshot."""
        self._sequence = 0

    async def follow(self, client: Client) -> AsyncIterator[Batch]:
        """One session. Raises NatsError when it ends; `nats/no-stream` where there is no bucket."""
        told = await ask(client, f"STREAM.INFO.{self._bucket.stream}", {}, self._bucket.name)
        if told is None:
            raise missing(self._bucket)
        is_other = bool(self._created) and told["created"] != self._created
        resumes = not is_other and self._can_resume(told["state"])
        if not resumes:
            self._sequence, self._keys = 0, set() if self._patterns == (">",) else None
        policy: dict[str, Any] = {"deliver_policy": "last_per_subject"}
        if resumes:
            policy = {"deliver_policy": "by_start_sequence", "opt_start_seq": self._sequence + 1}
        async with _Session(client, self._bucket, self._patterns, policy) as session:
            self._created = told["created"]
            begins, to_check = not resumes, told["state"] if resumes else None
            async for entries, is_current in session.batches():
                for one in entries:
                    self._note(one, to_check)
                if is_current and to_check is not None:
                    self._check(to_check)
                    to_check = None
                yield Batch(entries, begins, is_current, begins and is_other, self._created)
                begins = False

    def _can_resume(self, state: dict[str, Any]) -> bool:
        return self._sequence > 0 and self._keys is not None and int(state["last_seq"]) >= self._sequence

    def _note(self, one: Entry, state: dict[str, Any] | None) -> None:
        self._sequence = max(self._sequence, one.sequence)
        # What came after `state` was asked for is not counted in it.
        if self._keys is not None and (state is None or one.sequence <= state["last_seq"]):
            self._keys.add(one.key)
        elif self._keys is not None:
            self._later.add(one.key)

    def _check(self, state: dict[str, Any]) -> None:
        """Who knows more or fewer keys than the stream had missed something."""
        if self._keys is not None and len(self._keys) != state["num_subjects"]:
            self.forget()
            fail("nats/disconnected", f"{self._bucket.name}: keys are gone without a trace")
        if self._keys is not None:
            self._keys |= self._later
        self._later.clear()


async def entries_of(client: Client, bucket: Bucket, patterns: Sequence[str], history: bool = False) -> list[Entry]:
    """What matching keys hold now, markers of deleted ones included; with `history` all that they held, the oldest
    first. Raises NatsError."""
    found: list[Entry] = []
    policy = {"deliver_policy": "all" if history else "last_per_subject"}
    async with _Session(client, bucket, patterns, policy) as session:
        async for entries, is_current in session.batches():
            found += entries
            if is_current:
                break
    return found


async def entries_if_any(client: Client, bucket: Bucket, patterns: Sequence[str], history: bool = False) -> list[Entry]:
    """The same; none before the bucket is made. Raises NatsError."""
    try:
        return await entries_of(client, bucket, patterns, history)
    except NatsError as error:
        if error.code != "nats/no-stream":
            raise
        return []


class _Session:
    """An ordered push consumer with flow control: the server sends no more than what is taken."""

    def __init__(self, client: Client, bucket: Bucket, patterns: Sequence[str], policy: dict[str, Any]) -> None:
        self._client, self._bucket, self._patterns, self._policy = client, bucket, patterns, policy
        self._arrived: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._next = 1
        self._waiting = 0

    async def __aenter__(self) -> _Session:
        inbox = self._client.new_inbox()
        with answers(self._bucket.name):
            self._subscription = await self._client.subscribe(
                inbox, cb=self._take, pending_msgs_limit=-1, pending_bytes_limit=-1
            )
        try:
            self._waiting = await self._consumer(inbox)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """The server ends a consumer that nobody listens to."""
        if not self._client.is_closed:
            with answers(self._bucket.name):
                await self._subscription.unsubscribe()

    async def _consumer(self, inbox: str) -> int:
        """How many messages it has to deliver at first."""
        subjects = [self._bucket.subject(one) for one in self._patterns]
        filters = {"filter_subject": subjects[0]} if len(subjects) == 1 else {"filter_subjects": subjects}
        config = {
            "deliver_subject": inbox,
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(_HEARTBEAT_SECONDS * 1e9),
            "inactive_threshold": int(30e9),
            "mem_storage": True,
            "num_replicas": 1,
            **filters,
            **self._policy,
        }
        wanted = {"stream_name": self._bucket.stream, "config": config}
        told = await ask(self._client, f"CONSUMER.CREATE.{self._bucket.stream}", wanted, self._bucket.name)
        if told is None:
            raise missing(self._bucket)
        return int(told["num_pending"]) + int(told["delivered"]["consumer_seq"])

    async def _take(self, msg: Msg) -> None:
        self._arrived.append(msg)
        self._news.set()

    async def batches(self) -> AsyncIterator[tuple[list[Entry], bool]]:
        """Entries, and whether nothing more waits; the first time at the latest when all that was there has come."""
        if self._waiting == 0:
            yield [], True
        while True:
            entries, left = await self._next_batch()
            if entries:
                yield entries, left == 0

    async def _next_batch(self) -> tuple[list[Entry], int]:
        await self._wait()
        entries: list[Entry] = []
        left = 0
        while self._arrived and len(entries) < _MAX_BATCH:
            msg = self._arrived.popleft()
            if (msg.headers or {}).get("Status"):
                await self._answer(msg)
                continue
            meta = msg.metadata
            if meta.sequence.consumer != self._next:
                fail("nats/disconnected", f"{self._bucket.name}: a message is missing")
            self._next += 1
            left = meta.num_pending
            entries.append(entry_of(self._bucket, msg))
        return entries, left

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _SILENT_SECONDS
        while not self._arrived:
            self._news.clear()
            try:
                # Not `wait_for`, which passes over a cancellation that comes together with the news.
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                if not self._client.is_connected:
                    fail("nats/disconnected", f"{self._bucket.name}: the connection was lost")
                if loop.time() > until:
                    fail("nats/timeout", f"{self._bucket.name}: the server has fallen silent")

    async def _answer(self, msg: Msg) -> None:
        """Flow control: a request of its own, or a heartbeat of a consumer that waits for an answer."""
        stalled = (msg.headers or {}).get("Nats-Consumer-Stalled")
        reply = msg.reply or stalled
        if reply:
            with answers(self._bucket.name):
                await self._client.publish(reply)
