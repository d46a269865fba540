"""Following the deployment's topology: what is made first, and what is said where it cannot be followed."""

from __future__ import annotations

from pathlib import Path

from vrsky_fast.config.deployment import DeploymentSettings
from vrsky_fast.control.connection import connect
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.subjects import ask
from vrsky_fast.node import Profile
from vrsky_fast.node.engine import Engine
from vrsky_fast.node.following import Following

from .conftest import Background

SPLIT = DeploymentSettings({"topology": "split"})


def following(folder: Path, endpoint: Endpoint, said: list[str], topology: str | None = None) -> Following:
    profile = Profile.of_process(folder, topology=topology)
    return Following(profile, Engine(profile, endpoint), endpoint, None, said.append)


def test_the_lanes_of_the_new_topology_are_there_before_it_is_served(
    background: Background, server: Server, tmp_path: Path
) -> None:
    async def scenario() -> None:
        said: list[str] = []
        node = following(tmp_path, server.endpoint, said)
        await node.follow(SPLIT)
        assert (node.profile.topology, node.waits) == ("split", False)
        assert said == ["the topology is split now; this node serves incoming, converter, filter, outgoing"]
        async with connect(server.endpoint) as client:
            for lane in ("VRSKY_CONVERTER_T1000_0", "VRSKY_FILTER_T10000_0"):
                assert await ask(client, f"STREAM.INFO.{lane}", {}, lane) is not None
        await node.follow(SPLIT)
        assert len(said) == 1
        await node.follow(DeploymentSettings())
        assert node.profile.topology == "fused"

    background(scenario())


def test_what_cannot_be_made_is_said_once_and_tried_again(background: Background, tmp_path: Path) -> None:
    async def scenario() -> None:
        said: list[str] = []
        node = following(tmp_path, Endpoint("nats://127.0.0.1:1"), said)
        for _ in range(2):
            await node.follow(SPLIT)
            assert (node.profile.topology, node.waits) == ("fused", True)
        assert len(said) == 1
        assert "cannot be followed, which is tried again: nats/connect" in said[0]

    background(scenario())


def test_a_topology_of_its_own_goes_on_and_is_said_once(background: Background, tmp_path: Path) -> None:
    async def scenario() -> None:
        said: list[str] = []
        node = following(tmp_path, Endpoint("nats://127.0.0.1:1"), said, "fused")
        for _ in range(2):
            await node.follow(SPLIT)
            assert (node.profile.topology, node.waits) == ("fused", False)
        assert len(said) == 1
        assert "was started with --topology fused" in said[0]
        await node.follow(None)

    background(scenario())
