"""Customers that move between shared lanes and their own: when a move is over, on a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nats.aio.client import Client

from vrsky_fast.config.deployment import DeploymentSettings
from vrsky_fast.control.buckets import DELETED, NODES, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.nodes import NodeRecord, SettingsSeen
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server import Server
from vrsky_fast.control.streams import topology
from vrsky_fast.node.moves import Moves
from vrsky_fast.node.profile import Profile

from .conftest import Background

SHARED, OWN = DeploymentSettings(), DeploymentSettings({"customers": {"acme": {"lanes": "own"}}})
BUCKET = "the settings' bucket"


class World:
    """One node's view, and a server on which it is the test that plays all nodes."""

    def __init__(self, client: Client, server: Server, folder: Path, customer: str | None) -> None:
        self.client, self.said = client, list[str]()
        self.moves = Moves(server.endpoint, Profile(folder, customer=customer), self.said.append)

    @classmethod
    async def of(cls, client: Client, server: Server, folder: Path, customer: str | None = None) -> World:
        await make(client, NODES, None)
        await provision(client, topology(["t1000", "t10000"], 1))
        await provision(client, topology(["t1000", "t10000"], 1, customer="acme"))
        return cls(client, server, folder, customer)

    async def takes(self, node: str, seen: int, customer: str | None = None) -> None:
        """A node has taken the settings up to there."""
        record = NodeRecord(node, (), customer, "1", "host", "now", settings=SettingsSeen(BUCKET, seen))
        await put(self.client, NODES, node, record.encode(), {}, None)

    async def look(self, seen: int) -> bool:
        """Two looks, as it takes to find something empty; whether a move has ended."""
        return any([await self.moves.look(seen, BUCKET) for _ in range(2)])

    async def publish(self, subject: str) -> None:
        await self.client.jetstream().publish(subject, b"{}")

    async def empty(self, stream: str) -> None:
        await self.client.jetstream().purge_stream(stream)


def seen_by(moves: Moves) -> tuple[bool, bool]:
    """Whether the pipelines of acme run, and whether their ins are open."""
    return moves.serves("acme"), "acme" not in moves.closed


def test_shared_nodes_finish_what_is_in_their_lanes_before_they_leave_a_customer_out(
    background: Background, server: Server, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            world = await World.of(client, server, tmp_path)
            moves = world.moves
            await moves.begin(client, SHARED, 1, BUCKET)
            assert (seen_by(moves), world.said) == ((True, True), [])
            await world.publish("vrsky.logic.t1000.0.acme.orders.in")
            await world.publish("vrsky.logic.t1000.0.zeta.orders.in")
            moves.follow(OWN)
            assert seen_by(moves) == (True, False)
            await world.takes("this", 2)
            await world.takes("other", 1)
            assert not await world.look(2)
            moving = "acme moves to lanes of its own"
            assert world.said == [f"{moving}: its ins are closed, since other has not taken the settings"]
            await world.takes("other", 2)
            assert not await world.look(2)
            await world.empty("VRSKY_LOGIC_T1000_0")
            await world.publish("vrsky.outgoing.t10000.0.acme.orders.erp")
            await world.publish("vrsky.logic.t1000.0.zeta.orders.in")
            assert not await world.look(2)
            assert seen_by(moves) == (True, False)
            await world.empty("VRSKY_OUTGOING_T10000_0")
            assert await world.look(2)
            assert (seen_by(moves), moves.unsettled) == ((False, False), ())
            assert world.said[1:] == [f"{moving}: done, and it is not served here"]

    background(scenario())


def test_the_nodes_of_a_customer_open_its_ins_once_the_shared_lanes_have_nothing_of_it(
    background: Background, server: Server, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            world = await World.of(client, server, tmp_path, "acme")
            moves = world.moves
            await world.takes("shared", 1)
            await world.publish("vrsky.logic.t1000.0.acme.orders.in")
            await moves.begin(client, SHARED, 1, BUCKET)
            assert seen_by(moves) == (False, False)
            assert "serves nothing until acme has lanes of its own" in world.said[0]
            moves.follow(OWN)
            assert seen_by(moves) == (True, False)
            await world.takes("shared", 2)
            assert not await world.look(2)
            await world.empty("VRSKY_LOGIC_T1000_0")
            assert await world.look(2)
            assert seen_by(moves) == (True, True)
            # And back: it finishes what its lanes hold.
            await world.publish("vrsky.outgoing.t1000.own.acme.orders.erp")
            moves.follow(SHARED)
            await world.takes("this", 3, "acme")
            assert not await world.look(3)
            assert seen_by(moves) == (True, False)
            await world.empty("VRSKY_OUTGOING_T1000_OWN_ACME")
            assert await world.look(3)
            assert seen_by(moves) == (False, False)

    background(scenario())


def test_a_customer_that_comes_back_waits_for_its_own_lanes_and_others_do_not(
    background: Background, server: Server, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            world = await World.of(client, server, tmp_path)
            moves = world.moves
            await world.takes("of-acme", 1, "acme")
            await moves.begin(client, OWN, 1, BUCKET)
            assert (seen_by(moves), moves.serves("zeta"), moves.closed) == ((False, False), True, ("acme",))
            await world.publish("vrsky.logic.t1000.own.acme.orders.in")
            moves.follow(SHARED)
            await world.takes("of-acme", 2, "acme")
            assert not await world.look(2)
            assert seen_by(moves) == (True, False)
            await world.empty("VRSKY_LOGIC_T1000_OWN_ACME")
            assert await world.look(2)
            assert (seen_by(moves), moves.closed) == ((True, True), ())

    background(scenario())


def test_a_node_that_starts_in_the_middle_of_a_move_goes_on_with_it(
    background: Background, server: Server, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            world = await World.of(client, server, tmp_path)
            await world.publish("vrsky.logic.t1000.0.acme.orders.in")
            await world.moves.begin(client, OWN, 1, BUCKET)
            assert seen_by(world.moves) == (True, False)
            back = await World.of(client, server, tmp_path)
            await world.empty("VRSKY_LOGIC_T1000_0")
            await world.publish("vrsky.logic.t1000.own.acme.orders.in")
            await back.moves.begin(client, SHARED, 1, BUCKET)
            assert seen_by(back.moves) == (True, False)
            assert back.moves.unsettled == ("acme",)

    background(scenario())


def test_a_node_that_is_gone_is_not_waited_for(background: Background, server: Server, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            world = await World.of(client, server, tmp_path, "acme")
            await world.takes("shared", 1)
            await world.moves.begin(client, OWN, 2, BUCKET)
            assert not await world.look(2)
            await put(client, NODES, "shared", b"", DELETED, None)
            async with asyncio.timeout(30):
                while not await world.look(2):
                    pass
            assert seen_by(world.moves) == (True, True)

    background(scenario())
