"""Lanes in which messages wait and from which no node asks for any."""

from __future__ import annotations

from pathlib import Path

from vrsky_fast.control.connection import connect
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.streams import topology
from vrsky_fast.node.profile import Profile
from vrsky_fast.node.unread import UnreadPoll

from .conftest import Background
from .end_to_end.streams import put

NOBODY = Endpoint("nats://127.0.0.1:1")


def test_a_lane_of_another_topology_with_messages_is_named_once(
    background: Background, endpoint: Endpoint, tmp_path: Path
) -> None:
    async def make() -> None:
        async with connect(endpoint) as client:
            for name in ("fused", "split"):
                await provision(client, topology(["t1000"], 1, name=name))

    background(make())
    background(put(endpoint, "vrsky.converter.t1000.0.acme.orders.in", "{}", Customer_ID="acme"))
    said: list[str] = []
    poll = UnreadPoll(endpoint, lambda: Profile(files=tmp_path, tiers=("t1000",)), said.append)
    # Once is no reason: a node may be about to read it.
    background(poll.look())
    assert said == []
    for _ in range(2):
        background(poll.look())
        assert len(said) == 1
    assert said[0].startswith("1 messages wait in VRSKY_CONVERTER_T1000_0, and no node reads it")


def test_nothing_is_said_while_the_server_is_away(background: Background, tmp_path: Path) -> None:
    said: list[str] = []
    poll = UnreadPoll(NOBODY, lambda: Profile(files=tmp_path), said.append)
    background(poll.look())
    assert said == []
