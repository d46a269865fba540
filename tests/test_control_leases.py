"""Who holds which lease, as the bucket tells it."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from vrsky_fast.control.buckets import Conflict, Entry, make
from vrsky_fast.control.connection import connect
from vrsky_fast.control.leases import (
    BEAT_MS,
    EXPIRED_MS,
    LEASES,
    VALID_MS,
    Lease,
    Session,
    Slot,
    View,
    leases,
    rank,
    write_slot,
    write_source,
)
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.watch import Batch

from .conftest import Background

ANN, BEN = Session("a" * 16, "web-1", None), Session("b" * 16, "web-2", "acme")


def entry(key: str, sequence: int, value: bytes | None) -> Entry:
    return Entry(key, sequence, value, 1_700_000_000.0, {})


def slot(number: int, sequence: int, session: Session | None) -> Entry:
    return entry(f"slot.{number}", sequence, session.encode() if session is not None else None)


def source(name: str, sequence: int, session: Session | None) -> Entry:
    value = json.dumps({"session": session.id}).encode() if session is not None else None
    return entry(f"source.{name}", sequence, value)


def view_of(entries: Iterable[Entry], now: int = 0) -> View:
    view = View()
    view.take(Batch(list(entries), begins=True, is_current=True, identity="one"), now)
    return view


def test_a_lease_is_over_for_its_holder_before_anybody_else_may_think_so() -> None:
    assert BEAT_MS * 2 < VALID_MS
    assert VALID_MS * 1.2 <= EXPIRED_MS


def test_a_slot_has_expired_when_it_was_seen_unchanged_for_so_long() -> None:
    view = view_of([slot(0, 1, ANN), slot(1, 2, BEN), slot(2, 3, None)])
    assert view.live == {ANN.id: ANN, BEN.id: BEN}
    assert view.expired(EXPIRED_MS - 1) == {}
    view.take(Batch([slot(0, 4, ANN)], begins=False, is_current=True), EXPIRED_MS - 1)
    assert view.expired(EXPIRED_MS) == {1: Slot(BEN, 2, 0)}


def test_a_snapshot_that_brings_what_was_seen_makes_nobody_younger() -> None:
    view = view_of([slot(0, 1, ANN), slot(1, 2, BEN)])
    view.take(Batch([slot(0, 1, ANN), slot(1, 3, BEN)], begins=True, is_current=True, identity="one"), 4_000)
    assert set(view.expired(EXPIRED_MS)) == {0}
    assert view.is_settled(EXPIRED_MS)


def test_a_bucket_that_was_made_anew_is_looked_at_for_as_long_as_a_lease_may_last() -> None:
    view = view_of([slot(0, 1, ANN)])
    assert view.is_settled(EXPIRED_MS)
    view.take(Batch([], begins=True, is_current=True, identity="two"), 9_000)
    assert view.slots == {}
    assert not view.is_settled(9_000 + EXPIRED_MS - 1)
    assert view.is_settled(9_000 + EXPIRED_MS)


def test_nothing_is_settled_within_a_snapshot() -> None:
    view = View()
    view.take(Batch([slot(0, 1, ANN)], begins=True, is_current=False, identity="one"), 0)
    assert not view.is_settled(60_000)
    view.take(Batch([slot(1, 2, BEN)], begins=False, is_current=True, identity="one"), 60_000)
    assert view.is_settled(60_000)


def test_the_first_slot_that_nobody_has_is_used_again() -> None:
    assert view_of([]).free_slot() == (0, 0)
    assert view_of([slot(0, 1, ANN), slot(1, 7, None), slot(2, 3, BEN)]).free_slot() == (1, 7)
    assert view_of([slot(0, 1, ANN)]).free_slot() == (1, 0)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"session": 1}', b"\xff", b"[" * 100_000])
def test_a_slot_written_by_hand_is_taken_by_nobody_until_it_expires(value: bytes) -> None:
    view = view_of([entry("slot.0", 1, value), entry("slot.x", 2, value), entry("other", 3, value)])
    assert view.free_slot() == (1, 0)
    assert set(view.expired(EXPIRED_MS)) == {0}


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"\xff"])
def test_a_source_written_by_hand_belongs_to_nobody(value: bytes) -> None:
    assert view_of([entry("source.acme.rows", 1, value)]).sources["acme", "rows"].session is None


def test_each_source_has_an_order_of_nodes_of_its_own_that_is_the_same_on_all() -> None:
    sessions = [Session(f"{number:016x}", f"web-{number}", None) for number in range(4)]
    first = {one.id: 0 for one in sessions}
    for number in range(1_000):
        ranks = {one.id: rank(one, ("acme", f"p{number}"), sessions) for one in sessions}
        assert sorted(ranks.values()) == [0, 1, 2, 3]
        first[min(ranks, key=lambda one: ranks[one])] += 1
    assert all(150 < count < 350 for count in first.values())


def test_who_serves_another_customer_is_in_nobodys_way() -> None:
    for number in range(20):
        assert rank(ANN, ("zeta", f"p{number}"), [ANN, BEN]) == 0


def test_a_value_is_replaced_by_who_knows_it_alone(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await leases(client) == []
            await make(client, LEASES, None)
            first = await write_slot(client, 0, ANN, 0)
            second = await write_slot(client, 0, ANN, first)
            with pytest.raises(Conflict):
                await write_slot(client, 0, BEN, first)
            cleared = await write_slot(client, 0, None, second)
            with pytest.raises(Conflict):
                await write_slot(client, 0, ANN, second)
            await write_slot(client, 0, BEN, cleared)

    background(scenario())


def test_people_see_who_holds_a_lease_and_that_nobody_does(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, LEASES, None)
            await write_slot(client, 0, ANN, 0)
            await write_source(client, ("acme", "rows"), ANN, 0)
            await write_source(client, ("zeta", "rows"), BEN, 0)
            given = await write_source(client, ("zeta", "old"), ANN, 0)
            await write_source(client, ("zeta", "old"), None, given)
            found = await leases(client)
            assert [(one.customer, one.pipeline, one.node) for one in found] == [
                ("acme", "rows", "web-1"),
                ("zeta", "rows", None),
            ]
            assert all(one.since > 1_600_000_000 for one in found)
            assert await leases(client, ["acme"]) == [Lease("acme", "rows", "web-1", found[0].since)]

    background(scenario())
