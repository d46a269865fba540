"""A bucket is followed on a real server: every change once, over lost connections, lost consumers and lost buckets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from vrsky_fast.control.buckets import DELETED, NODES, PIPELINES, Conflict, identity, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.subjects import ask, purge
from vrsky_fast.control.watch import Batch, Watch, entries_of
from vrsky_fast.errors import NatsError

from .conftest import Background


async def set_(client: Client, **values: str) -> int:
    """Puts `acme__orders` as the key `acme.orders`; the last sequence."""
    sequence = 0
    for key, value in values.items():
        sequence = await put(client, PIPELINES, key.replace("__", "."), value.encode(), {}, None)
    return sequence


@asynccontextmanager
async def bucket_on(endpoint: Endpoint) -> AsyncIterator[Client]:
    async with connect(endpoint) as client:
        await make(client, PIPELINES, None)
        yield client


class Follower:
    """What a watch has told so far, as the bucket would be."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.values: dict[str, bytes | None] = {}
        self.sequences: list[int] = []
        self.snapshots = 0

    def take(self, batch: Batch) -> None:
        if batch.begins:
            self.snapshots += 1
            self.values = {}
        self.values |= {one.key: one.value for one in batch.entries}
        self.sequences += [one.sequence for one in batch.entries]

    async def until_current(self, client: Client) -> None:
        async for batch in self.watch.follow(client):
            self.take(batch)
            if batch.is_current:
                return


def test_a_snapshot_has_the_last_value_of_every_key_and_what_changes_comes_after(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client, connect(endpoint) as other:
            await set_(client, acme__a="1", acme__b="1")
            await set_(client, acme__a="2")
            await put(client, PIPELINES, "acme.b", b"", DELETED, None)
            follower = Follower(Watch(PIPELINES))
            follows = follower.watch.follow(other)
            follower.take(await anext(follows))
            assert follower.values == {"acme.a": b"2", "acme.b": None}
            await set_(client, zeta__c="1")
            follower.take(await anext(follows))
            assert follower.values["zeta.c"] == b"1"
            assert follower.snapshots == 1

    background(scenario())


def test_an_empty_bucket_is_current_at_once(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            batch = await anext(Watch(PIPELINES).follow(client))
            assert batch == Batch([], True, True, False, await identity(client, PIPELINES))

    background(scenario())


def test_a_second_session_goes_on_after_the_first(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            await set_(client, acme__a="1", acme__b="1")
            follower = Follower(Watch(PIPELINES))
            await follower.until_current(client)
            await set_(client, acme__a="2", acme__c="1")
            await put(client, PIPELINES, "acme.b", b"", DELETED, None)
            await follower.until_current(client)
            assert follower.values == {"acme.a": b"2", "acme.b": None, "acme.c": b"1"}
            assert follower.sequences == [1, 2, 3, 4, 5]
            assert follower.snapshots == 1

    background(scenario())


def test_a_key_that_went_without_a_trace_leads_to_a_snapshot(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            await set_(client, acme__a="1", acme__b="1")
            follower = Follower(Watch(PIPELINES))
            await follower.until_current(client)
            await set_(client, acme__c="1")
            await purge(client, PIPELINES.stream, PIPELINES.subject("acme.a"))
            with pytest.raises(NatsError, match="without a trace"):
                await follower.until_current(client)
            await follower.until_current(client)
            assert follower.values == {"acme.b": b"1", "acme.c": b"1"}
            assert follower.snapshots == 2

    background(scenario())


def test_a_bucket_that_was_made_anew_is_told_from_the_old_one(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            await set_(client, acme__a="1", acme__b="1")
            watch = Watch(PIPELINES)
            await Follower(watch).until_current(client)
            await ask(client, f"STREAM.DELETE.{PIPELINES.stream}", {}, "bucket")
            with pytest.raises(NatsError) as caught:
                await anext(watch.follow(client))
            assert caught.value.code == "nats/no-stream"
            await make(client, PIPELINES, None)
            await set_(client, acme__b="2")
            batch = await anext(watch.follow(client))
            assert [one.key for one in batch.entries] == ["acme.b"]
            assert (batch.begins, batch.is_other) == (True, True)

    background(scenario())


def test_a_session_ends_with_its_consumer(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client, connect(endpoint) as other:
            await set_(client, acme__a="1")
            watch = Watch(PIPELINES)
            follows = watch.follow(other)
            await anext(follows)
            (consumer,) = await client.jetstream().consumers_info(PIPELINES.stream)
            await client.jetstream().delete_consumer(PIPELINES.stream, consumer.name)
            with pytest.raises(NatsError) as caught:
                await anext(follows)
            assert caught.value.code == "nats/timeout"

    background(scenario())


def test_a_session_ends_with_its_server_and_goes_on_with_the_next(background: Background, server: Server) -> None:
    async def scenario() -> None:
        follower = Follower(Watch(PIPELINES))
        async with bucket_on(server.endpoint) as client:
            await set_(client, acme__a="1")
            follows = follower.watch.follow(client)
            follower.take(await anext(follows))
            await server.stop()
            with pytest.raises(NatsError):
                await anext(follows)
        async with connect(await server.start()) as client:
            await set_(client, acme__b="1")
            await follower.until_current(client)
        assert follower.values == {"acme.a": b"1", "acme.b": b"1"}
        assert follower.snapshots == 1

    background(scenario(), 60)


def test_only_the_keys_of_a_pattern_come(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            await set_(client, acme__a="1", zeta__a="1", beta__a="1")
            follower = Follower(Watch(PIPELINES, ("acme.>",)))
            await follower.until_current(client)
            assert set(follower.values) == {"acme.a"}
            found = await entries_of(client, PIPELINES, ("acme.>", "beta.>"))
            assert [one.key for one in found] == ["acme.a", "beta.a"]

    background(scenario())


def test_a_snapshot_larger_than_what_is_in_flight_comes_whole(background: Background, endpoint: Endpoint) -> None:
    """Flow control: the server waits for answers of the one who reads."""

    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            value = b"x" * 60_000
            for first in range(0, 1000, 50):
                keys = [f"acme.p{number}" for number in range(first, first + 50)]
                await asyncio.gather(*(put(client, PIPELINES, key, value, {}, None) for key in keys))
            found = await entries_of(client, PIPELINES, (">",))
            assert len(found) == 1000
            assert {len(one.value or b"") for one in found} == {60_000}

    background(scenario(), 60)


def test_history_has_the_last_ten_values(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            for number in range(13):
                await set_(client, acme__a=str(number))
            found = await entries_of(client, PIPELINES, ("acme.a",), history=True)
            assert [one.value for one in found] == [str(number).encode() for number in range(3, 13)]

    background(scenario())


def test_a_value_is_put_only_where_nobody_was_quicker(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with bucket_on(endpoint) as client:
            assert await put(client, PIPELINES, "acme.a", b"1", {}, 0) == 1
            assert await put(client, PIPELINES, "acme.b", b"1", {}, 0) == 2
            assert await put(client, PIPELINES, "acme.a", b"2", {}, 1) == 3
            for last in (0, 1, 2):
                with pytest.raises(Conflict):
                    await put(client, PIPELINES, "acme.a", b"3", {}, last)

    background(scenario())


def test_a_bucket_that_is_not_there_is_named(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            for work in (put(client, NODES, "n", b"", {}, None), entries_of(client, NODES, (">",))):
                with pytest.raises(NatsError, match="no bucket vrsky_nodes") as caught:
                    await work
                assert caught.value.code == "nats/no-stream"

    background(scenario())


def test_a_bucket_is_made_once(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await make(client, PIPELINES, None) == ["bucket vrsky_pipelines"]
            assert await make(client, PIPELINES, 1) == []
            kv = await client.jetstream().key_value(PIPELINES.name)
            status = await kv.status()
            assert status.history == 10

    background(scenario())
