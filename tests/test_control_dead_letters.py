"""Listing and showing dead letters on a real stream."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from vrsky_fast.control import dead_letters, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.dead_letters import Wanted
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
            acme = await dead_letters.newest(client, 2, Wanted("acme", "orders"))
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
                "died_ms": acme[0].stored_ms,
            }
            assert await dead_letters.newest(client, 2, Wanted("nobody")) == []

    background(scenario())


def test_they_are_picked_by_code_step_and_the_time_since_they_died(background: Background, endpoint: Endpoint) -> None:
    now_ms = int(time.time() * 1000)
    letters = [("http/rejected", "out:erp", 0), ("http/timeout", "out:erp", 7_200), ("script/threw", "2:script", 3_600)]

    async def scenario() -> None:
        async with connect(endpoint) as client:
            await provision(client, [streams.dead()])
            for code, step, age in letters:
                died = str(now_ms - age * 1_000)
                headers = {"Vrsky-Code": code, "Vrsky-Step": step, "Vrsky-Died": died, "Vrsky-Time": "7"}
                await client.jetstream().publish("vrsky.dead.acme.orders.x", b"{}", headers=headers)

            async def picked(**wanted: Any) -> list[int]:
                return [one.sequence for one in await dead_letters.newest(client, 10, Wanted(**wanted))]

            assert await picked(codes=("http",)) == [1, 2]
            assert await picked(codes=("http/timeout", "script/threw")) == [2, 3]
            assert await picked(codes=("htt",)) == []
            assert await picked(steps=("2:script",)) == [3]
            assert await picked(older_than=1_800.0) == [2, 3]
            assert await picked(older_than=1_800.0, newer_than=5_400.0) == [3]
            assert await picked(customer="acme", codes=("http",), newer_than=60.0) == [1]
            first = await dead_letters.show(client, 1)
            assert first is not None
            assert (first.time_ms, first.died_ms) == (7, now_ms)

    background(scenario())


def test_one_that_does_not_say_when_it_died_died_when_it_was_stored(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            before = int(time.time() * 1000)
            await fill(client, 1)
            (listed,), shown = await dead_letters.newest(client, 1), await dead_letters.show(client, 1)
            assert shown is not None
            assert before <= listed.died_ms == shown.died_ms <= int(time.time() * 1000)

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


async def fill_parts(client: Client, *parts: tuple[str, int]) -> None:
    """A letter for each part of these messages, then the whole messages."""
    await provision(client, [streams.dead()])
    for message, part in parts:
        headers = {"Vrsky-Id": message, "Vrsky-Original": message, "Vrsky-Part": str(part), "Vrsky-Step": "1:filter"}
        await client.jetstream().publish("vrsky.dead.acme.orders.1:filter", b"part %d" % part, headers=headers)
    for message in dict.fromkeys(message for message, _ in parts):
        subject = f"vrsky.original.acme.orders.{message.replace('.', '-')}"
        await client.jetstream().publish(subject, message.encode(), headers={"Vrsky-Id": message})


async def originals(client: Client) -> list[str]:
    info = await client.jetstream().stream_info(streams.DEAD, subjects_filter="vrsky.original.>")
    return [subject.rpartition(".")[2] for subject in info.state.subjects or {}]


def test_the_whole_message_beside_a_part_is_no_letter(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill_parts(client, ("acme.1", 0), ("acme.1", 2), ("acme.2", 1))
            for limit in (2, 3, 10):
                found = await dead_letters.newest(client, limit)
                assert [one.sequence for one in found] == [1, 2, 3][-limit:]
            letter = await dead_letters.show(client, 2)
            assert letter is not None
            whole = await dead_letters.original(client, letter)
            assert whole is not None
            assert (letter.payload, whole.payload) == (b"part 2", b"acme.1")
            assert await dead_letters.show(client, 4) is None
            assert await dead_letters.remove(client, [4, 5]) == [4, 5]
            assert await originals(client) == ["acme-1", "acme-2"]

    background(scenario())


def test_the_whole_messages_go_with_all_letters_of_their_customer(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill_parts(client, ("acme.3", 0))
            assert await dead_letters.purge(client, "other") == 0
            assert await originals(client) == ["acme-3"]
            assert await dead_letters.purge(client, "acme") == 1
            assert await originals(client) == []

    background(scenario())


@pytest.mark.parametrize("name", ["*", ">", "acme.orders", "ACME", "", "acme\n"])
def test_only_a_name_is_asked_for(background: Background, endpoint: Endpoint, name: str) -> None:
    async def list_them(**names: str) -> None:
        async with connect(endpoint) as client:
            await dead_letters.newest(client, 10, Wanted(**names))

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
