"""What nats-py raises becomes NatsError with a code, wherever we ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, StreamConfig
from nats.js.errors import APIError, FetchTimeoutError, NoStreamResponseError, ServiceUnavailableError

from vrsky_fast.config.summary import JetStream
from vrsky_fast.control import dead_letters, parked, streams, subjects
from vrsky_fast.control.answers import answers
from vrsky_fast.control.connection import connect
from vrsky_fast.control.durables import Owner
from vrsky_fast.control.originals import sweep
from vrsky_fast.control.presence import look_for_stream
from vrsky_fast.control.provision import consumer_of_source, provision, share
from vrsky_fast.control.redrive.send import Redrive
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import ConfigError, NatsError

from .conftest import Background

ACME = Owner("acme", "orders")
ORDERS = JetStream("orders.>", "ORDERS", "acme-orders")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (nats.errors.ConnectionClosedError(), "nats/disconnected"),
        (nats.errors.ConnectionDrainingError(), "nats/disconnected"),
        (nats.errors.UnexpectedEOF(), "nats/disconnected"),
        (ConnectionResetError(104, "Connection reset by peer"), "nats/disconnected"),
        (nats.errors.TimeoutError(), "nats/timeout"),
        (FetchTimeoutError(), "nats/timeout"),
        (TimeoutError(), "nats/timeout"),
        (nats.errors.NoServersError(), "nats/timeout"),
        (nats.errors.NoRespondersError(), "nats/timeout"),
        (APIError(code=503, err_code=10008, description="no leader"), "nats/timeout"),
        (APIError(code=400, err_code=10052, description="no"), "nats/refused"),
        (ServiceUnavailableError(), "nats/refused"),
        (NoStreamResponseError(), "nats/no-stream"),
        (nats.errors.MaxPayloadError(), "nats/max-payload"),
        (asyncio.CancelledError(), "nats/disconnected"),
    ],
)
def test_each_kind_of_failure_has_a_code(background: Background, raised: BaseException, code: str) -> None:
    async def ask() -> None:
        with answers("ORDERS"):
            raise raised

    with pytest.raises(NatsError) as told:
        background(ask())
    assert told.value.code == code
    assert told.value.reason


def test_our_own_errors_and_our_own_cancellation_stay_what_they_are(background: Background) -> None:
    async def scenario() -> None:
        with pytest.raises(ConfigError), answers("ORDERS"):
            await ACME.refuse(
                Client(), StreamConfig("ORDERS"), ConsumerConfig(metadata=Owner("zeta", "orders").metadata()), None
            )

        async def waits() -> None:
            with answers("ORDERS"):
                await asyncio.sleep(30)

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    background(scenario())


async def _letters(client: Client) -> list[dead_letters.DeadLetter]:
    return [one async for one in dead_letters.oldest_first(client, dead_letters.EVERYTHING)]


async def _numbers() -> AsyncGenerator[int]:
    yield 1


ASKING: dict[str, Callable[[Client], Awaitable[object]]] = {
    "provision": lambda client: provision(client, [streams.keys()]),
    "share": lambda client: share(client, [streams.keys()], Path("/")),
    "consumer_of_source": lambda client: consumer_of_source(client, ORDERS, ACME),
    "look_for_stream": lambda client: look_for_stream(client, ORDERS, ACME),
    "streams_of": lambda client: subjects.streams_of(client, "vrsky.>"),
    "counts": lambda client: subjects.counts(client, streams.PARKED, ">"),
    "purge": lambda client: subjects.purge(client, streams.PARKED, ">"),
    "parked listing": parked.listing,
    "parked discard": parked.discard,
    "newest": lambda client: dead_letters.newest(client, 10),
    "oldest_first": _letters,
    "show": lambda client: dead_letters.show(client, 1),
    "remove": lambda client: dead_letters.remove(client, [1]),
    "delete": lambda client: dead_letters.delete(client, [1]),
    "sweep": sweep,
    "redrive": lambda client: Redrive(client, None, 100.0).run(_numbers()),
    "redrive's plan": lambda client: Redrive(client, None, 100.0).plan(_numbers()),
    "what has no net of its own": lambda client: client.jetstream().account_info(),
}


@pytest.mark.parametrize("asking", ASKING)
def test_a_connection_that_was_lost_is_said_with_a_code(
    background: Background, endpoint: Endpoint, asking: str
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await client.close()
            await ASKING[asking](client)

    with pytest.raises(NatsError) as told:
        background(scenario())
    assert told.value.code == "nats/disconnected"


def test_a_scan_of_dead_letters_that_is_cut_off_is_no_short_list(
    background: Background, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_BATCH", 1)

    async def scenario() -> None:
        async with connect(endpoint) as client:
            await provision(client, [streams.dead()])
            for number in range(3):
                await client.jetstream().publish("vrsky.dead.acme.orders.out:erp", b"%d" % number)
            letters = dead_letters.oldest_first(client, dead_letters.EVERYTHING)
            assert (await anext(letters)).sequence == 1
            await client.close()
            await anext(letters)

    with pytest.raises(NatsError) as told:
        background(scenario())
    assert told.value.code == "nats/disconnected"
