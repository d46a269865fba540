"""What a stream holds, asked of a real server."""

from __future__ import annotations

import time

from vrsky_fast.control.connection import connect
from vrsky_fast.control.held import Held, held
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.streams import lane

from .conftest import Background

LANE = lane("logic", "t1000", 0)


def test_a_message_waits_is_in_hand_and_has_left(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> list[Held | None]:
        async with connect(endpoint) as client:
            found = [await held(client, LANE)]
            await provision(client, [LANE])
            jetstream = client.jetstream()
            found.append(await held(client, LANE))
            for _ in range(3):
                await jetstream.publish("vrsky.logic.t1000.0.acme.orders.in", b"{}")
            found.append(await held(client, LANE))
            taken = await jetstream.pull_subscribe_bind("logic", LANE.name)
            one, _ = await taken.fetch(2)
            found.append(await held(client, LANE))
            await one.ack_sync()
            found.append(await held(client, LANE))
        return found

    before = time.time()
    nothing, empty, waits, taken, acked = background(scenario())
    assert nothing is None
    assert empty == Held(LANE.name, "logic", pending=0, in_hand=0, left=0, oldest=None)
    assert waits is not None
    assert waits.oldest is not None
    assert before - 1 <= waits.oldest <= time.time() + 1
    counts = [(one.pending, one.in_hand, one.left) for one in (waits, taken, acked) if one is not None]
    assert counts == [(3, 0, 0), (1, 2, 0), (1, 1, 1)]
