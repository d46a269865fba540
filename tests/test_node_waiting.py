"""Which messages wait for what a node does not serve, and when that is reported."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vrsky_fast.control import streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.provision import provision
from vrsky_fast.control.served import Served, Serving
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.streams import STEPS
from vrsky_fast.facts import NODE_TYPES
from vrsky_fast.node import Profile
from vrsky_fast.node.waiting import Waiting, WaitingPoll, judge, name_of, unserved

from .conftest import Background

SERVING = Serving.of([Served("acme", "orders", "t1000", (), ("erp",))])
LOGIC, OUTGOING = streams.lane("logic", "t1000", 0), streams.lane("outgoing", "t1000", 0)
FILTER = streams.lane("filter", "t1000", 0)
NOBODY = Endpoint("nats://127.0.0.1:1")


@pytest.mark.parametrize(
    ("subject", "stream", "name"),
    [
        ("vrsky.logic.t1000.0.acme.orders.in", LOGIC, ("acme", "orders", STEPS)),
        ("vrsky.logic.t1000.0.acme.orders.erp", LOGIC, None),
        ("vrsky.filter.t1000.0.acme.orders.in", FILTER, ("acme", "orders", STEPS)),
        ("vrsky.filter.t1000.0.acme.orders.2:filter", FILTER, ("acme", "orders", STEPS)),
        ("vrsky.outgoing.t1000.0.acme.orders.erp", OUTGOING, ("acme", "orders", "erp")),
        ("vrsky.outgoing.t1000.0.acme.orders.in", OUTGOING, ("acme", "orders", "in")),
        ("vrsky.outgoing.t1000.0.acme.orders._in", OUTGOING, None),
        ("vrsky.outgoing.t1000.1.acme.orders.erp", OUTGOING, None),
        ("vrsky.parked.acme.orders.erp", streams.parked(), ("acme", "orders", "erp")),
        ("vrsky.parked.acme.orders.in", streams.parked(), ("acme", "orders", "in")),
        ("vrsky.parked.acme.orders._in", streams.parked(), ("acme", "orders", STEPS)),
        ("vrsky.parked.acme.orders", streams.parked(), None),
        ("vrsky.parked.acme.orders.erp.more", streams.parked(), None),
        ("vrsky.parked.acme..erp", streams.parked(), None),
        ("vrsky.parked.Acme\x1b.orders.erp", streams.parked(), None),
    ],
)
def test_subjects_of_the_engine_have_a_name_and_others_none(
    subject: str, stream: streams.Stream, name: tuple[str, str, str] | None
) -> None:
    assert name_of(subject, stream) == name


def test_what_is_served_or_read_by_nodes_of_other_types_does_not_wait_here() -> None:
    names = ["orders._in", "orders.erp", "orders.crm", "gone._in", "gone.erp"]
    counts = {f"vrsky.parked.acme.{name}": 2 for name in names}
    found = [name[1:] for name, _ in unserved(counts, streams.parked(), SERVING, NODE_TYPES)]
    assert found == [("orders", "crm"), ("gone", STEPS), ("gone", "erp")]
    assert [name[1:] for name, _ in unserved(counts, streams.parked(), SERVING, ["logic"])] == [("gone", STEPS)]
    assert [name[1:] for name, _ in unserved(counts, streams.parked(), SERVING, ["filter"])] == [("gone", STEPS)]
    assert list(unserved(counts, streams.parked(), SERVING, ["incoming"])) == []


def test_what_is_in_a_lane_once_is_not_reported_yet() -> None:
    erp, crm = ("acme", "orders", "erp"), ("acme", "orders", "crm")
    assert judge({}, {erp: 3}, ()) == ({}, {erp})
    assert judge({}, {erp: 3}, {erp}) == ({erp: 3}, set())
    assert judge({erp: 2}, {erp: 3, crm: 1}, ()) == ({erp: 5}, {crm})
    assert judge({}, {}, {erp}) == ({}, set())


class Reports:
    """What a poll reports, one entry a call."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Waiting], list[Waiting]]] = []
        self.came = asyncio.Event()

    def __call__(self, new: object, found: object) -> None:
        assert isinstance(new, list)
        assert isinstance(found, list)
        self.calls.append((new, found))
        self.came.set()


def poll(endpoint: Endpoint, changed: asyncio.Event, reports: Reports) -> WaitingPoll:
    return WaitingPoll(endpoint, lambda: Profile(Path(), lanes=2), lambda: SERVING, changed, reports)


def test_the_first_poll_reports_lanes_and_parked_ones_and_a_change_asks_again(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await provision(client, [LOGIC, streams.parked()])
            for subject in ("logic.t1000.0.acme.gone.in", "parked.acme.orders.crm", "parked.acme.orders.erp"):
                await client.jetstream().publish(f"vrsky.{subject}", b"{}")
            changed, reports = asyncio.Event(), Reports()
            waits = poll(endpoint, changed, reports)
            await waits.start()
            both = [Waiting("acme", "gone", STEPS, 1), Waiting("acme", "orders", "crm", 1)]
            assert reports.calls == [(both, both)]
            reports.came.clear()
            running = asyncio.create_task(waits.run())
            await client.jetstream().publish("vrsky.parked.acme.gone._in", b"{}")
            changed.set()
            await reports.came.wait()
            running.cancel()
            more = [Waiting("acme", "gone", STEPS, 2), Waiting("acme", "orders", "crm", 1)]
            assert reports.calls[1:] == [([], more)]

    background(scenario())


def test_a_server_that_is_away_is_no_error(background: Background) -> None:
    reports = Reports()
    background(poll(NOBODY, asyncio.Event(), reports).start())
    assert reports.calls == []
