"""Streams and consumers: made once, then left alone; nothing that would lose messages is done."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import APIError

from vrsky_fast.config.summary import JetStream
from vrsky_fast.control import streams
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.durables import Owner
from vrsky_fast.control.provision import consumer_of_source, provision, share
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.upkeep import provisioned
from vrsky_fast.errors import NatsError

from .clusters import Cluster
from .conftest import Background

ONE = streams.lane("logic", "t1000", 0)
ACME = Owner("acme", "orders")


def with_client(background: Background, endpoint: Endpoint, scenario):  # type: ignore[no-untyped-def]
    async def run():  # type: ignore[no-untyped-def]
        async with connect(endpoint) as client:
            return await scenario(client)

    return background(run())


def test_the_topology_is_made_once_and_then_left_alone(background: Background, endpoint: Endpoint) -> None:
    wanted = list(streams.topology(["t1000", "t10000"], 2))
    assert [stream.name for stream in wanted][::4] == [
        "VRSKY_LOGIC_T1000_0",
        "VRSKY_OUTGOING_T1000_0",
        "VRSKY_DEAD",
    ]
    assert wanted[-2:] == [streams.parked(), streams.keys()]

    async def scenario(client: Client) -> None:
        assert len(await provision(client, wanted)) == 11 + 8
        assert await provision(client, wanted) == []
        jetstream = client.jetstream()
        config = (await jetstream.stream_info("VRSKY_OUTGOING_T10000_1")).config
        assert (config.retention, config.storage, config.discard) == ("workqueue", "file", "new")
        assert config.discard_new_per_subject
        assert config.max_msgs_per_subject == 10_000
        assert config.duplicate_window == 30.0
        assert config.subjects == ["vrsky.outgoing.t10000.1.>"]
        parked = (await jetstream.stream_info("VRSKY_PARKED")).config
        assert (parked.retention, parked.discard, parked.max_msgs_per_subject) == ("workqueue", "new", 100_000)
        assert parked.discard_new_per_subject
        keys = (await jetstream.stream_info("VRSKY_KEYS")).config
        assert (keys.retention, keys.discard, keys.max_msgs_per_subject) == ("limits", "new", 1)
        assert (keys.discard_new_per_subject, keys.allow_direct, keys.max_age) == (True, True, 24 * 3600.0)
        consumer = (await jetstream.consumer_info("VRSKY_OUTGOING_T10000_1", "outgoing")).config
        assert (consumer.ack_wait, consumer.max_ack_pending, consumer.max_deliver) == (10.0, -1, -1)
        assert consumer.filter_subject is None
        assert consumer.deliver_subject is None

    with_client(background, endpoint, scenario)


def test_a_full_subject_refuses_and_its_neighbour_does_not(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await provision(client, [replace(ONE, cap=2)])
        jetstream = client.jetstream()
        for _ in range(2):
            await jetstream.publish("vrsky.logic.t1000.0.acme.orders.in", b"")
        with pytest.raises(APIError) as caught:
            await jetstream.publish("vrsky.logic.t1000.0.acme.orders.in", b"")
        assert caught.value.err_code == 10077
        await jetstream.publish("vrsky.logic.t1000.0.quiet.orders.in", b"")

    with_client(background, endpoint, scenario)


def test_lowering_a_cap_is_refused_while_the_stream_holds_messages(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await provision(client, [ONE])
        jetstream = client.jetstream()
        for _ in range(3):
            await jetstream.publish("vrsky.logic.t1000.0.acme.orders.in", b"")
        with pytest.raises(NatsError) as caught:
            await provision(client, [replace(ONE, cap=2)])
        assert caught.value.code == "nats/would-discard"
        assert (await jetstream.stream_info(ONE.name)).state.messages == 3
        assert await provision(client, [replace(ONE, cap=5_000)]) == [f"stream {ONE.name}: max_msgs_per_subject"]
        await jetstream.purge_stream(ONE.name)
        assert await provision(client, [replace(ONE, cap=2)]) == [f"stream {ONE.name}: max_msgs_per_subject"]

    with_client(background, endpoint, scenario)


def test_what_an_operator_has_set_besides_stays(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        jetstream = client.jetstream()
        await jetstream.add_stream(
            StreamConfig(name=ONE.name, subjects=[ONE.subject], retention="workqueue", max_bytes=1_000_000)
        )
        await provision(client, [ONE])
        config = (await jetstream.stream_info(ONE.name)).config
        assert config.max_bytes == 1_000_000
        assert config.discard == "new"

    with_client(background, endpoint, scenario)


def test_shares_fill_three_quarters_of_the_room_and_what_a_stream_holds_is_taken_from_the_others() -> None:
    four = [streams.lane("logic", "t1000", number) for number in range(4)]

    def shares(room: int, *held: int) -> list[int | None]:
        by_name = {stream.name: bytes_held for stream, bytes_held in zip(four, held, strict=False)}
        return [stream.max_bytes for stream in streams.sharing(four, room, by_name)]

    assert shares(1600) == [300] * 4
    assert shares(1600, 300, 299) == [300] * 4
    assert shares(1600, 600, 10) == [600, 200, 200, 200]
    assert shares(1600, 600, 250) == [600, 250, 175, 175]
    # Nothing is left; still something can move.
    assert shares(1600, 1600) == [1600, 25, 25, 25]


@given(st.integers(1_000, 10**12), st.lists(st.integers(0, 10**12), max_size=6))
def test_shares_never_add_up_to_more_than_the_room_and_what_is_held(room: int, held: list[int]) -> None:
    six = list(streams.topology(["t1000", "t10000"], 1))
    by_name = {stream.name: bytes_held for stream, bytes_held in zip(six, held, strict=False)}
    shared = [stream.max_bytes or 0 for stream in streams.sharing(six, room, by_name)]
    assert all(share >= by_name.get(stream.name, 0) for share, stream in zip(shared, six, strict=True))
    if sum(held) <= room // 2:
        assert sum(shared) <= room


def test_streams_share_the_disk_and_none_is_made_smaller_than_what_it_holds(
    background: Background, endpoint: Endpoint
) -> None:
    def sized(size: int) -> list[streams.Stream]:
        return [replace(stream, max_bytes=size) for stream in (ONE, streams.parked())]

    async def scenario(client: Client) -> None:
        jetstream = client.jetstream()

        async def sizes() -> set[int | None]:
            return {(await jetstream.stream_info(name)).config.max_bytes for name in (ONE.name, streams.PARKED)}

        await provision(client, sized(3_000_000))
        assert await sizes() == {3_000_000}
        # A little more or less is not worth a word.
        assert await provision(client, sized(3_600_000)) == []
        assert await provision(client, sized(2_900_000)) == []
        both = [f"stream {name}: max_bytes" for name in (ONE.name, streams.PARKED)]
        assert await provision(client, sized(2_800_000)) == both
        assert await provision(client, sized(30_000_000)) == both
        for _ in range(4):
            await jetstream.publish("vrsky.parked.acme.orders.default", b"x" * 500_000)
        await provision(client, sized(30_000))
        state = (await jetstream.stream_info(streams.PARKED)).state
        assert (state.messages, await sizes()) == (4, {30_000, state.bytes})
        with pytest.raises(APIError) as caught:
            await jetstream.publish("vrsky.parked.acme.orders.default", b"x")
        assert caught.value.description == "maximum bytes exceeded"

    with_client(background, endpoint, scenario)


def test_what_streams_hold_and_what_is_free_is_shared(background: Background, server: Server) -> None:
    async def scenario(client: Client) -> None:
        jetstream = client.jetstream()
        await share(client, [ONE, streams.dead()], server.layout.store)
        free = shutil.disk_usage(server.layout.store).free
        size = (await jetstream.stream_info(ONE.name)).config.max_bytes
        assert size is not None
        # Others write to the same disk meanwhile.
        assert 0.5 < size / (free * 3 // 8) < 1.5

    with_client(background, server.endpoint, scenario)


def test_a_consumer_that_differs_is_mended(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await provision(client, [replace(ONE, consumer=None)])
        jetstream = client.jetstream()
        await jetstream.add_consumer(ONE.name, ConsumerConfig(durable_name="logic", ack_wait=60, max_ack_pending=5))
        assert await provision(client, [ONE]) == [f"consumer {ONE.name}/logic: changed"]
        config = (await jetstream.consumer_info(ONE.name, "logic")).config
        assert (config.ack_wait, config.max_ack_pending) == (10.0, -1)

    with_client(background, endpoint, scenario)


def test_a_stream_of_somebody_else_on_our_subjects_is_an_error(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await client.jetstream().add_stream(StreamConfig(name="OTHER", subjects=["vrsky.>"]))
        with pytest.raises(NatsError) as caught:
            await provision(client, [ONE])
        assert caught.value.code == "nats/refused"
        assert "overlap" in str(caught.value)

    with_client(background, endpoint, scenario)


def test_the_durable_of_a_jetstream_in_is_made_on_its_stream_only(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        source = JetStream("orders.>", "THEIRS", "vrsky-acme-orders")
        with pytest.raises(NatsError) as caught:
            await consumer_of_source(client, source, ACME)
        assert caught.value.code == "nats/no-stream"
        await client.jetstream().add_stream(StreamConfig(name="THEIRS", subjects=["orders.>", "other"]))
        assert await consumer_of_source(client, source, ACME) == ["consumer THEIRS/vrsky-acme-orders"]
        assert await consumer_of_source(client, source, ACME) == []

    with_client(background, endpoint, scenario)


def test_replicas_that_are_named_are_made_and_changed_and_others_stay(tmp_path: Path, background: Background) -> None:
    async def made(client: Client, *wanted: streams.Stream) -> list[str] | None:
        return await provisioned(lambda: provision(client, wanted), asyncio.Event(), lambda _: None)

    async def scenario() -> None:
        async with connect(endpoint_of(cluster.url)) as client:
            three, two = replace(ONE, replicas=3), streams.dead()
            assert await made(client, ONE, two) is not None
            assert (await client.jetstream().stream_info(ONE.name)).config.num_replicas == 1
            assert await made(client, three, two) == [f"stream {ONE.name}: num_replicas"]
            assert await made(client, ONE, two) == []
            assert (await client.jetstream().stream_info(ONE.name)).config.num_replicas == 3
            assert (await client.jetstream().stream_info(two.name)).config.num_replicas == 1

    with Cluster(tmp_path / "cluster") as cluster:
        background(scenario(), 120)


def test_replicas_without_a_cluster_are_refused_with_the_servers_words(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(NatsError, match="replicas > 1 not supported") as caught:
            await provision(client, [replace(ONE, replicas=3)])
        assert caught.value.code == "nats/refused"

    with_client(background, endpoint, scenario)
