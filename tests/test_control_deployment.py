"""The settings of a deployment in their bucket, on a real server: their history, and who was quicker."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from vrsky_fast.config.deployment import DeploymentSettings
from vrsky_fast.control.buckets import DELETED, DEPLOYMENT, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.deployment import KEY, history, in_force, write
from vrsky_fast.control.server import Server
from vrsky_fast.errors import ConfigError

from .conftest import Background

SPLIT, FUSED = DeploymentSettings({"topology": "split"}), DeploymentSettings({"topology": "fused"})


def test_nobody_has_set_anything_where_there_is_no_bucket(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            assert await history(client) == []
            assert in_force([]) == DeploymentSettings()

    background(scenario())


def test_the_last_ten_versions_stay_with_who_has_set_them(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await make(client, DEPLOYMENT, None)
            last = 0
            for number in range(12):
                last = await write(client, (SPLIT, FUSED)[number % 2], "ann", f"note {number}", last)
            found = await history(client)
            assert [(one.user, one.note) for one in found] == [("ann", f"note {number}") for number in range(2, 12)]
            assert in_force(found) == FUSED
            assert found[-1].sequence == last

    background(scenario())


def test_the_last_good_one_is_in_force_where_a_value_is_none(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await make(client, DEPLOYMENT, None)
            last = await write(client, SPLIT, "ann", "", 0)
            last = await put(client, DEPLOYMENT, KEY, b"topology: fused", {}, last)
            found = await history(client)
            assert [one.code for one in found[-1].problems] == ["config/not-settings"]
            assert in_force(found) == SPLIT
            await put(client, DEPLOYMENT, KEY, b"", DELETED, last)
            found = await history(client)
            assert (found[-1].is_deleted, in_force(found)) == (True, DeploymentSettings())

    background(scenario())


def test_the_second_of_two_writers_hears_who_was_quicker(background: Background, server: Server) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await make(client, DEPLOYMENT, None)
            first = await write(client, SPLIT, "ann", "in a hurry", 0)
            assert await refused(client, 0) == "config/changed-meanwhile: the settings were changed by ann (in a hurry)"
            await put(client, DEPLOYMENT, KEY, b"", DELETED, first)
            assert await refused(client, first) == "config/changed-meanwhile: the settings were deleted by somebody"

    background(scenario())


async def refused(client: Client, last: int) -> str:
    with pytest.raises(ConfigError) as caught:
        await write(client, FUSED, "bob", "", last)
    return str(caught.value).partition(" at ")[0]
