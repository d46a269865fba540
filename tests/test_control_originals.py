"""Whole messages beside the dead letters of their parts: there as long as a part is, or may be again."""

from __future__ import annotations

import pytest
from nats.aio.client import Client

from vrsky_fast import facts
from vrsky_fast.control import dead_letters, streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.originals import sweep
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint

from .conftest import Background
from .test_control_dead_letters import fill_parts, originals


async def without(client: Client, *letters: int) -> list[str]:
    """What is left of the whole messages when these letters are deleted."""
    assert await dead_letters.remove(client, letters) == []
    await sweep(client)
    return await originals(client)


def test_a_whole_message_goes_with_the_last_of_its_parts(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await sweep(client)
            await fill_parts(client, ("acme.1", 0), ("acme.1", 2), ("acme.2", 1))
            assert await without(client) == ["acme-1", "acme-2"]
            assert await without(client, 1, 3) == ["acme-1"]
            assert await without(client, 2) == []

    background(scenario())


@pytest.mark.parametrize("where", ["vrsky.logic.t10000.0.acme.orders.in", "vrsky.parked.acme.orders._in"])
def test_it_stays_while_a_part_that_was_sent_again_may_die_again(
    background: Background, endpoint: Endpoint, where: str
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await provision(client, streams.topology(list(facts.TIERS), 1))
            await fill_parts(client, ("acme.1", 0))
            jetstream = client.jetstream()
            other = await jetstream.publish("vrsky.logic.t1000.0.acme.others.in", b"{}")
            ack = await jetstream.publish(where, b"{}")
            assert await without(client, 1) == ["acme-1"]
            await jetstream.delete_msg(ack.stream, ack.seq)
            assert await without(client) == []
            await jetstream.delete_msg(other.stream, other.seq)

    background(scenario())
