"""The leases of nodes on a real server. Each has a clock of its own, and an engine that notes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

from vrsky_fast import _native
from vrsky_fast.control.buckets import identity, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.leases import EXPIRED_MS, LEASES, VALID_MS, Key, leases, source_key
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.subjects import ask
from vrsky_fast.node.leases import LeaseKeeper, Member

from .conftest import Background

ROWS: Key = ("acme", "rows")


class Fake:
    """As the engine, which gives its sources up when it sees that the lease is over."""

    def __init__(self) -> None:
        self.ahead = 0
        self.until = 0
        self.granted: set[Key] = set()
        self.was_lapsed = False
        self.blocked = asyncio.Event()
        self.blocked.set()

    def boot_ms(self) -> int:
        return _native.Node.boot_ms() + self.ahead

    def begin_lease(self, until_ms: int) -> None:
        assert self.granted == set()
        self.until, self.was_lapsed = until_ms, False

    def renew_lease(self, until_ms: int) -> bool:
        if self.was_lapsed:
            return False
        self.until = max(self.until, until_ms)
        return True

    async def lease(self, grant: Collection[Key], revoke: Collection[Key]) -> None:
        if revoke:
            await self.blocked.wait()
        self.granted = (self.granted | set(grant)) - set(revoke)

    @property
    def reads(self) -> set[Key]:
        """What it reads now."""
        if self.boot_ms() >= self.until:
            self.was_lapsed = True
        return set() if self.was_lapsed else self.granted


class Node:
    def __init__(self, endpoint: Endpoint, name: str, wanted: Collection[Key], customer: str | None = None) -> None:
        self.engine, self.wanted, self.notes = Fake(), frozenset(wanted), list[str]()
        member = Member(name, customer, None)
        self.keeper = LeaseKeeper(endpoint, member, self.engine, lambda: self.wanted, self.notes.append)
        self.task = asyncio.create_task(self.keeper.run())

    async def dies(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def skips(self, milliseconds: int) -> None:
        """As if so long had passed for this node."""
        self.engine.ahead += milliseconds


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def nodes_on(endpoint: Endpoint, *wanted: Collection[Key]) -> AsyncIterator[list[Node]]:
    """Nodes that know each other, and have waited long enough."""
    made = [Node(endpoint, f"web-{number}", ()) for number in range(len(wanted))]
    try:
        for one in made:
            await eventually(lambda one=one: one.keeper._view.is_current)  # type: ignore[misc]
        for one in made:
            one.skips(EXPIRED_MS)
        # From here on no clock jumps over what the others do.
        for one, keys in zip(made, wanted, strict=True):
            one.wanted = frozenset(keys)
        yield made
    finally:
        for one in made:
            await one.dies()


def test_one_node_alone_reads_a_source_and_keeps_it_while_others_come(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS]) as (one,):
            await eventually(lambda: one.engine.reads == {ROWS})
            others = [Node(endpoint, f"other-{number}", [ROWS]) for number in range(3)]
            for other in others:
                await eventually(lambda other=other: other.keeper._joined is not None)  # type: ignore[misc]
            renewed = one.engine.until
            await eventually(lambda: one.engine.until > renewed + 2_000)
            assert one.engine.reads == {ROWS}
            assert [other.engine.granted for other in others] == [set(), set(), set()]
            assert "acme/rows: read by this node from now on, by a lease" in one.notes
            async with connect(endpoint) as client:
                (lease,) = await leases(client)
            assert (lease.node, list(one.keeper.held.since.values())) == ("web-0", [lease.since])
            for other in others:
                await other.dies()

    background(scenario())


def test_nodes_that_are_there_share_what_comes(background: Background, endpoint: Endpoint) -> None:
    keys = {("acme", f"rows-{number}") for number in range(600)}

    async def scenario() -> None:
        async with nodes_on(endpoint, [], []) as nodes:
            for one in nodes:
                one.wanted = frozenset({ROWS})
            await eventually(lambda: all(one.keeper._joined for one in nodes))
            await eventually(lambda: all(len(one.keeper._view.live) == 2 for one in nodes))
            for one in nodes:
                one.wanted = frozenset(keys)
            await eventually(lambda: sum(len(one.engine.reads) for one in nodes) == len(keys))
            first, second = (one.engine.reads for one in nodes)
            assert not first & second
            assert len(first) > 150
            assert len(second) > 150

    background(scenario())


def test_what_a_dead_node_had_is_taken_by_another_one_and_no_earlier_than_it_may(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], []) as (one, other):
            await eventually(lambda: one.engine.reads == {ROWS})
            other.wanted = frozenset({ROWS})
            await eventually(lambda: other.keeper._joined is not None)
            await one.dies()
            await eventually(lambda: other.engine.reads == {ROWS})
            assert one.engine.reads == set(), "its lease was over by then"
            assert any("the node web-0 holds its leases no more" in note for note in other.notes)

    background(scenario())


def test_a_node_that_was_frozen_has_lost_what_another_one_took(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], []) as (one, other):
            await eventually(lambda: one.engine.reads == {ROWS})
            other.wanted = frozenset({ROWS})
            # It does nothing, and its clock goes on.
            await one.dies()
            await eventually(lambda: other.engine.reads == {ROWS})
            one.task = asyncio.create_task(one.keeper.run())
            await eventually(lambda: one.keeper._joined is not None and one.engine.granted == set())
            assert any("acme/rows is lost" in note for note in one.notes)
            assert one.keeper.held.changes == {"taken": 1, "given": 0, "lost": 1}
            assert other.engine.reads == {ROWS}

    background(scenario())


def test_one_that_was_away_and_whom_nobody_missed_has_to_join_again(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS]) as (one,):
            await eventually(lambda: one.engine.reads == {ROWS})
            assert one.keeper._joined is not None
            session = one.keeper._joined.session
            one.skips(VALID_MS + 1)
            assert one.engine.reads == set()
            await eventually(lambda: one.engine.reads == {ROWS})
            assert one.keeper._joined is not None
            assert one.keeper._joined.session != session

    background(scenario())


def test_a_node_that_stops_gives_its_leases_back_after_its_sources_have_ended(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], []) as (one, other):
            await eventually(lambda: one.engine.reads == {ROWS})
            other.wanted = frozenset({ROWS})
            await eventually(lambda: other.keeper._joined is not None)
            one.engine.blocked.clear()
            closing = asyncio.create_task(one.keeper.close())
            renewed = one.engine.until
            await eventually(lambda: one.engine.until > renewed)
            assert other.engine.reads == set()
            one.engine.blocked.set()
            await closing
            assert one.engine.granted == set()
            await one.dies()
            await eventually(lambda: other.engine.reads == {ROWS})
            assert not any("holds its leases no more" in note for note in other.notes), "nobody had to wait for it"

    background(scenario())


def test_what_does_not_run_here_any_more_is_for_others(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], []) as (one, other):
            await eventually(lambda: one.engine.reads == {ROWS})
            one.wanted = frozenset()
            other.wanted = frozenset({ROWS})
            await eventually(lambda: other.engine.reads == {ROWS})
            assert one.engine.reads == set()
            assert one.keeper.held.changes == {"taken": 1, "given": 1, "lost": 0}
            one.wanted = frozenset({ROWS})
            other.wanted = frozenset()
            await eventually(lambda: one.engine.reads == {ROWS})

    background(scenario())


def test_a_node_of_one_customer_takes_nothing_of_another(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        own = Node(endpoint, "acme-1", [ROWS], "acme")
        everybody = Node(endpoint, "web-1", [("zeta", "rows")])
        await eventually(lambda: own.engine.reads == {ROWS} and everybody.engine.reads == {("zeta", "rows")})
        await own.dies()
        await everybody.dies()

    background(scenario())


def test_a_bucket_that_is_deleted_ends_all_leases_and_they_are_taken_again_in_the_next_one(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], [ROWS]) as nodes:
            await eventually(lambda: any(one.engine.reads for one in nodes))
            async with connect(endpoint) as client:
                before = await identity(client, LEASES)
                await ask(client, f"STREAM.DELETE.{LEASES.stream}", {}, LEASES.name)
                await eventually(lambda: not any(one.engine.reads for one in nodes))
                await eventually(lambda: any(one.engine.reads for one in nodes))
                assert await identity(client, LEASES) != before
            first, second = (one.engine.reads for one in nodes)
            assert not first & second

    background(scenario())


def test_who_reads_in_the_bucket_that_another_one_has_its_source_stops(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with nodes_on(endpoint, [ROWS], []) as (one, other):
            await eventually(lambda: one.engine.reads == {ROWS})
            other.wanted = frozenset({("acme", "other")})
            await eventually(lambda: other.keeper._joined is not None)
            assert other.keeper._joined is not None
            async with connect(endpoint) as client:
                # As a server that has lost what it acknowledged would let it come.
                value = b'{"session": "%s"}' % other.keeper._joined.session.id.encode()
                await put(client, LEASES, source_key(ROWS), value, {}, None)
            await eventually(lambda: one.keeper.held.changes["lost"] == 1)
            assert any("the bucket says that another node has it" in note for note in one.notes)
            # The other one does not want it, and gives it back.
            await eventually(lambda: one.engine.reads == {ROWS})
            assert other.engine.granted <= {("acme", "other")}

    background(scenario())
