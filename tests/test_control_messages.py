"""What waits, on real streams: listed oldest first, found again, and left where it is."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from vrsky_fast.control import messages, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.messages import WaitingMessage
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import ConfigError

from .conftest import Background

LOGIC, OUTGOING = "vrsky.logic.t1000.0", "vrsky.outgoing.t1000.1"


async def fill(client: Client) -> None:
    """One message each, in this order, of ids `acme.0` and so on."""
    await provision(client, [*streams.topology(["t1000"], 2)])
    subjects = [
        f"{LOGIC}.acme.orders.in",
        f"{OUTGOING}.acme.orders.erp",
        f"{LOGIC}.acme.invoices.in",
        "vrsky.parked.acme.orders.erp",
        f"{OUTGOING}.zeta.orders.audit",
        "vrsky.parked.acme.orders._in",
        f"{LOGIC}.acme.orders.in",
    ]
    for number, subject in enumerate(subjects):
        headers = {"Vrsky-Id": f"acme.{number}", "Vrsky-Time": "1700000000000"}
        await client.jetstream().publish(subject, b"%d" % number, headers=headers)


def ids(found: list[WaitingMessage]) -> str:
    return " ".join(one.id.partition(".")[2] for one in found)


def test_they_are_listed_oldest_first_from_all_lanes_and_the_parked(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            assert (await messages.oldest(client, 10)).messages == []
            await fill(client)
            found = await messages.oldest(client, 10)
            assert (ids(found.messages), found.has_more) == ("0 1 2 3 4 5 6", False)
            first, second, _, parked, _, aside, _ = found.messages
            assert (first.place, first.type, first.step) == ("VRSKY_LOGIC_T1000_0:1", "logic", "in")
            assert (second.place, second.type, second.step) == ("VRSKY_OUTGOING_T1000_1:1", "outgoing", "erp")
            assert (parked.place, parked.type, parked.step) == ("VRSKY_PARKED:1", "parked", "erp")
            assert (aside.type, aside.step, aside.payload) == ("parked", "in", b"5")
            assert first.as_json()["came_ms"] == 1_700_000_000_000

    background(scenario())


def test_a_customer_a_pipeline_and_types_choose_some_and_the_limit_the_oldest(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client)
            assert ids((await messages.oldest(client, 10, "acme")).messages) == "0 1 2 3 5 6"
            assert ids((await messages.oldest(client, 10, "acme", "orders")).messages) == "0 1 3 5 6"
            assert ids((await messages.oldest(client, 10, types=["outgoing"])).messages) == "1 4"
            assert ids((await messages.oldest(client, 10, "acme", types=["parked", "outgoing"])).messages) == "1 3 5"
            some = await messages.oldest(client, 2, "acme", "orders")
            assert (ids(some.messages), some.has_more) == ("0 1", True)
            exactly = await messages.oldest(client, 5, "acme", "orders")
            assert (ids(exactly.messages), exactly.has_more) == ("0 1 3 5 6", False)
            assert (await messages.oldest(client, 10, "nobody")).messages == []
            for names in (("*", None), ("acme", ">"), ("", None), ("acme", "")):
                with pytest.raises(ConfigError, match="is no name"):
                    await messages.oldest(client, 10, *names)

    background(scenario())


def test_it_is_known_whether_a_node_has_got_one(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client)
            lane = await client.jetstream().pull_subscribe_bind("logic", stream="VRSKY_LOGIC_T1000_0")
            assert len(await lane.fetch(1)) == 1
            found = {one.id: one.is_delivered for one in (await messages.oldest(client, 10)).messages}
            # Nobody has a consumer for what is parked yet.
            assert (found["acme.0"], found["acme.2"], found["acme.1"], found["acme.3"]) == (True, False, False, None)

    background(scenario())


def test_one_is_found_by_its_place_and_by_its_id(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client)
            for wanted in ("VRSKY_PARKED:1", "acme.3"):
                found = await messages.find(client, wanted)
                assert found is not None, wanted
                assert (found.place, found.id, found.payload) == ("VRSKY_PARKED:1", "acme.3", b"3")
            nothing = (
                "VRSKY_PARKED:99",
                "VRSKY_DEAD:1",
                "NONE:1",
                "VRSKY_PARKED:x",
                "VRSKY_PARKED:",
                "acme.9",
                "*",
                "",
            )
            for wanted in nothing:
                assert await messages.find(client, wanted) is None, wanted

    background(scenario())


def test_reading_them_takes_nothing_and_leaves_no_consumer(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await fill(client)
            jetstream = client.jetstream()
            before = [await jetstream.stream_info(one.name) for one in streams.topology(["t1000"], 2)]
            await messages.oldest(client, 10)
            await messages.find(client, "acme.6")
            after = [await jetstream.stream_info(one.name) for one in streams.topology(["t1000"], 2)]
            states = [[(one.state.messages, one.state.consumer_count) for one in all_of] for all_of in (before, after)]
            assert states[0] == states[1]
            lane = await jetstream.pull_subscribe_bind("logic", stream="VRSKY_LOGIC_T1000_0")
            (first,) = await lane.fetch(1)
            assert first.metadata.num_delivered == 1

    background(scenario())
