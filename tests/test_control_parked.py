"""What is set aside, on a real stream: counted by out, and discarded."""

from __future__ import annotations

import time

import pytest
from nats.aio.client import Client

from vrsky_fast.control import parked, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.parked import Discarded, Parked
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import ConfigError

from .conftest import Background


async def fill(client: Client, **counts: int) -> None:
    """So many messages for `<customer>__<pipeline>__<out>`."""
    await provision(client, [streams.parked()])
    for key, count in counts.items():
        for number in range(count):
            headers = {"Vrsky-Time": str(1_700_000_000_000 + number)}
            await client.jetstream().publish(f"vrsky.parked.{key.replace('__', '.')}", b"{}", headers=headers)


def test_they_are_counted_by_out_with_the_times_of_the_oldest(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await parked.listing(client) == []
            before = int(time.time() * 1000)
            await fill(client, acme__orders__erp=3, acme__orders__audit=1, acme__bulk=0, zeta__orders__erp=2)
            found = await parked.listing(client)
            assert [(one.customer, one.pipeline, one.out, one.messages) for one in found] == [
                ("acme", "orders", "audit", 1),
                ("acme", "orders", "erp", 3),
                ("zeta", "orders", "erp", 2),
            ]
            assert {one.came_ms for one in found} == {1_700_000_000_000}
            assert before <= min(one.parked_ms for one in found) <= time.time() * 1000
            assert [one.out for one in await parked.listing(client, "acme", "orders", "erp")] == ["erp"]
            assert [one.customer for one in await parked.listing(client, out="erp")] == ["acme", "zeta"]
            assert await parked.listing(client, "nobody") == []

    background(scenario())


def test_more_outs_than_are_asked_for_at_once_are_all_listed(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client, **{f"acme__p{number}__erp": 1 for number in range(250)})
            assert len(await parked.listing(client)) == 250

    background(scenario())


def test_the_oldest_is_the_one_that_is_left(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client, acme__orders__erp=3)
            await client.jetstream().delete_msg(streams.PARKED, 1)
            (one,) = await parked.listing(client)
            assert (one.messages, one.came_ms) == (2, 1_700_000_000_001)

    background(scenario())


def test_a_discard_tells_how_many_of_its_own_a_node_has_in_hand(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client, acme__orders__erp=5, zeta__orders__erp=4)
            for customer, count in (("acme", 2), ("zeta", 3)):
                subject = f"vrsky.parked.{customer}.orders.erp"
                pulled = await client.jetstream().pull_subscribe(subject, customer, "VRSKY_PARKED")
                assert len(await pulled.fetch(count)) == count
            assert await parked.discard(client, "acme", "orders") == Discarded(5, 2)
            assert await parked.discard(client) == Discarded(4, 3)

    background(scenario())


def test_those_of_an_out_a_pipeline_a_customer_or_all_are_discarded(background: Background, endpoint: Endpoint) -> None:
    async def left(client: Client) -> list[tuple[str, str, str]]:
        return [(one.customer, one.pipeline, one.out) for one in await parked.listing(client)]

    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await parked.discard(client) == Discarded(0, 0)
            await fill(client, acme__a__x=2, acme__a__y=1, acme__b__x=1, zeta__a__x=1, other__a__x=1)
            assert await parked.discard(client, "acme", "a", "x") == Discarded(2, 0)
            assert await parked.discard(client, "acme", "a") == Discarded(1, 0)
            assert await left(client) == [("acme", "b", "x"), ("other", "a", "x"), ("zeta", "a", "x")]
            assert await parked.discard(client, "zeta") == Discarded(1, 0)
            assert await parked.discard(client) == Discarded(2, 0)
            assert await left(client) == []

    background(scenario())


@pytest.mark.parametrize("name", ["*", ">", "a.b", ""])
def test_only_a_name_is_asked_for(background: Background, endpoint: Endpoint, name: str) -> None:
    async def scenario(what: str) -> list[Parked] | int:
        async with connect(endpoint) as client:
            if what == "list":
                return await parked.listing(client, "acme", "orders", name)
            return (await parked.discard(client, name)).deleted

    for what in ("list", "discard"):
        with pytest.raises(ConfigError) as caught:
            background(scenario(what))
        assert caught.value.code == "config/invalid-name"
