"""The settings of a deployment as a node follows them, on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client

from vrsky_fast.config.deployment import DeploymentSettings
from vrsky_fast.control.buckets import DELETED, DEPLOYMENT, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.deployment import KEY, write
from vrsky_fast.control.server import Server
from vrsky_fast.control.subjects import ask
from vrsky_fast.node.deployment import Deployment

from .conftest import Background

SPLIT, FUSED = DeploymentSettings({"topology": "split"}), DeploymentSettings({"topology": "fused"})


class Follower:
    def __init__(self, server: Server) -> None:
        self.said: list[str] = []
        self.deployment = Deployment(server.endpoint, None, self.said.append)

    async def until(self, topology: str | None, problems: list[str] | None = None) -> None:
        """Takes what arrives until it is this."""
        wanted = (topology, problems or [])
        async with asyncio.timeout(30):
            while (self.deployment.settings.topology, [one.code for one in self.deployment.problems]) != wanted:
                await self.deployment.arrived.wait()
                self.deployment.take()


@asynccontextmanager
async def followed(server: Server) -> AsyncIterator[tuple[Follower, Client]]:
    follower = Follower(server)
    async with connect(server.endpoint) as client:
        await follower.deployment.read(client)
        following = asyncio.create_task(follower.deployment.follow())
        try:
            yield follower, client
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def test_a_change_is_taken_when_the_node_says_so(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with followed(server) as (follower, client):
            deployment = follower.deployment
            assert deployment.settings == DeploymentSettings()
            sequence = await write(client, SPLIT, "ann", "", 0)
            while deployment.seen != sequence:
                assert deployment.settings == DeploymentSettings()
                await deployment.arrived.wait()
                deployment.take()
            assert deployment.settings == SPLIT
            assert deployment.take() is False
            await put(client, DEPLOYMENT, KEY, b"", DELETED, sequence)
            await follower.until(None)
            assert follower.said == []

    background(scenario())


def test_a_value_by_hand_that_is_none_leaves_the_last_good_one(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with followed(server) as (follower, client):
            await write(client, SPLIT, "ann", "", 0)
            await follower.until("split")
            last = await put(client, DEPLOYMENT, KEY, b'{"topology": "spilt"}', {}, None)
            await follower.until("split", ["config/not-settings"])
            assert follower.deployment.seen == last
            assert [one.count("config/not-settings") for one in follower.said] == [1]
            await write(client, FUSED, "ann", "", last)
            await follower.until("fused")

    background(scenario())


def test_a_node_that_starts_with_a_value_that_is_none_takes_the_last_good_one(
    background: Background, server: Server
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await make(client, DEPLOYMENT, None)
            await write(client, SPLIT, "ann", "", 0)
            last = await put(client, DEPLOYMENT, KEY, b"split", {}, None)
        async with followed(server) as (follower, _):
            deployment = follower.deployment
            assert (deployment.settings, deployment.seen) == (SPLIT, last)
            assert [one.code for one in deployment.problems] == ["config/not-settings"]
            assert [one.count("config/not-settings") for one in follower.said] == [1]

    background(scenario())


def test_a_bucket_that_was_made_anew_changes_nothing_until_somebody_writes(
    background: Background, server: Server
) -> None:
    async def scenario() -> None:
        async with followed(server) as (follower, client):
            await write(client, SPLIT, "ann", "", 0)
            await follower.until("split")
            before = follower.deployment.identity
            await ask(client, f"STREAM.DELETE.{DEPLOYMENT.stream}", {}, "bucket")
            await make(client, DEPLOYMENT, None)
            async with asyncio.timeout(30):
                while follower.deployment.identity == before:
                    await follower.deployment.arrived.wait()
                    follower.deployment.take()
            assert (follower.deployment.settings, follower.deployment.seen) == (SPLIT, 0)
            await write(client, FUSED, "ann", "", 0)
            await follower.until("fused")
            assert any("cannot be watched" in one for one in follower.said)

    background(scenario())
