"""Listing and showing dead letters on a real stream."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from vrsky_fast.control import dead_letters, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import ConfigError

from .conftest import Background


async def fill(client: Client, count: int, customer: str = "acme") -> None:
    await provision(client, [streams.dead()])
    for number in range(count):
        headers = {
            "Customer-ID": customer,
            "Nats-Msg-Id": f"{customer}-{number}",
            "Vrsky-Code": "filter/missing-field",
            "Vrsky-Reason": "order.total is missing",
            "Vrsky-Step": "1:filter",
            "Vrsky-Time": str(1_700_000_000_000 + number),
        }
        await client.jetstream().publish(
            f"vrsky.dead.{customer}.orders.1-filter", f"<order id='{number}'/>".encode(), headers=headers
        )


def test_the_newest_come_oldest_first_and_can_be_picked_by_customer(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await dead_letters.newest(client, 10) == []
            await fill(client, 6)
            await fill(client, 2, "other")
            everything = await dead_letters.newest(client, 3)
            assert [(one.sequence, one.customer) for one in everything] == [
                (6, "acme"),
                (7, "other"),
                (8, "other"),
            ]
            acme = await dead_letters.newest(client, 2, customer="acme", pipeline="orders")
            assert [one.id for one in acme] == ["acme-4", "acme-5"]
            assert acme[0].as_json() == {
                "sequence": 5,
                "customer": "acme",
                "pipeline": "orders",
                "step": "1:filter",
                "id": "acme-4",
                "code": "filter/missing-field",
                "reason": "order.total is missing",
                "place": "",
                "time_ms": 1_700_000_000_004,
            }
            assert await dead_letters.newest(client, 2, customer="nobody") == []

    background(scenario())


def test_those_of_a_pipeline_of_a_customer_or_all_are_deleted(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await dead_letters.purge(client) == 0
            await fill(client, 3)
            await fill(client, 2, "other")
            await fill(client, 1, "third")
            assert await dead_letters.purge(client, "acme", "invoices") == 0
            assert await dead_letters.purge(client, "acme", "orders") == 3
            assert await dead_letters.purge(client, "other") == 2
            assert [one.customer for one in await dead_letters.newest(client, 10)] == ["third"]
            assert await dead_letters.purge(client) == 1
            assert await dead_letters.newest(client, 10) == []

    background(scenario())


def test_those_of_a_number_are_deleted_and_the_others_named(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert await dead_letters.remove(client, [1]) == [1]
            await fill(client, 4)
            assert await dead_letters.remove(client, [2, 99, 4]) == [99]
            assert await dead_letters.remove(client, [2, 2**64 - 1]) == [2, 2**64 - 1]
            assert [one.sequence for one in await dead_letters.newest(client, 10)] == [1, 3]

    background(scenario())


def test_what_is_deleted_makes_room_in_a_full_stream(background: Background, endpoint: Endpoint) -> None:
    async def fits(client: Client) -> bool:
        try:
            await client.jetstream().publish("vrsky.dead.acme.orders.1-filter", b"x" * 800)
        except APIError:
            return False
        return True

    async def scenario() -> None:
        async with connect(endpoint) as client:
            await provision(client, [replace(streams.dead(), max_bytes=2_000)])
            assert [await fits(client) for _ in range(3)] == [True, True, False]
            assert await dead_letters.remove(client, [1]) == []
            assert [await fits(client) for _ in range(2)] == [True, False]
            assert await dead_letters.purge(client, "acme") == 2
            assert await fits(client)

    background(scenario())


@pytest.mark.parametrize("name", ["*", ">", "acme.orders", "ACME", "", "acme\n"])
def test_only_a_name_is_asked_for(background: Background, endpoint: Endpoint, name: str) -> None:
    async def list_them(**names: str) -> None:
        async with connect(endpoint) as client:
            await dead_letters.newest(client, 10, **names)

    async def delete_them(**names: str) -> None:
        async with connect(endpoint) as client:
            await dead_letters.purge(client, **names)

    for what in ("customer", "pipeline"):
        for scenario in (list_them, delete_them):
            with pytest.raises(ConfigError) as caught:
                background(scenario(**{what: name}))
            assert caught.value.code == "config/invalid-name"


def test_one_is_shown_with_its_payload(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client, 2)
            letter = await dead_letters.show(client, 2)
            assert letter is not None
            assert (letter.payload, letter.code) == (b"<order id='1'/>", "filter/missing-field")
            assert await dead_letters.show(client, 3) is None

    background(scenario())
