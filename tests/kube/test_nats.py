"""The NATS servers of the manifests as real processes: their probes, their users, the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.js.errors import APIError

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import NatsError

from ..conftest import Background
from .cluster import render
from .manifests import OVERLAYS, container_of, objects
from .nats import Servers


def servers_of(overlay: str) -> int:
    (workload,) = objects(render(OVERLAYS[overlay]), "StatefulSet")
    return int(workload["spec"]["replicas"])


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def servers(overlay: str, tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path, servers_of(overlay)) as servers:
        yield servers


def test_every_server_answers_every_probe(servers: Servers, overlay: str) -> None:
    (workload,) = objects(render(OVERLAYS[overlay]), "StatefulSet")
    container = container_of(workload)
    for number in range(servers_of(overlay)):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert servers.answers(number, container[probe]["httpGet"]["path"]) == 200


def test_each_stream_has_as_many_copies_as_the_nodes_ask_for(
    servers: Servers, overlay: str, background: Background
) -> None:
    copies = 3 if overlay == "example" else 1

    async def made() -> int:
        client = await nats.connect(servers.url("node").split(","))
        try:
            info = await client.jetstream().add_stream(name="VRSKY_X", subjects=["vrsky.x.>"], num_replicas=copies)
            return len(info.cluster.replicas or []) + 1 if info.cluster else 1
        finally:
            await client.close()

    assert background(made()) == copies


def test_a_node_may_neither_delete_a_stream_nor_publish_as_a_customer(servers: Servers, background: Background) -> None:
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error))

    async def tried() -> None:
        client = await nats.connect(servers.url("node").split(","), error_cb=note)
        try:
            context = client.jetstream(timeout=2)
            await context.add_stream(name="VRSKY_X", subjects=["vrsky.x.>"])
            await context.publish("vrsky.x.1", b"")
            for verb in (context.delete_stream, context.purge_stream):
                with pytest.raises((nats.errors.TimeoutError, APIError)):
                    await verb("VRSKY_X")
            await client.publish("orders.acme", b"")
            await client.flush()
            assert (await context.stream_info("VRSKY_X")).state.messages == 1
        finally:
            await client.close()

    background(tried())
    for subject in ("$js.api.stream.delete.vrsky_x", "$js.api.stream.purge.vrsky_x", "orders.acme"):
        assert any(subject in one.lower() for one in refused), (subject, refused)


def test_nobody_comes_in_without_a_password(servers: Servers, background: Background) -> None:
    wrong = re.sub(r"//\w+:[^@]+@", "//", servers.url("node"))

    async def tried() -> None:
        async with connect(Endpoint(wrong, "node", "wrong")):
            pass

    with pytest.raises(NatsError, match="nats/authorization"):
        background(tried())
