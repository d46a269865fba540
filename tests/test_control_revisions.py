"""The bucket of pipelines on a real server: written by compare-and-set, with who and when."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from vrsky_fast.config import parse
from vrsky_fast.config.stored import Stored
from vrsky_fast.control.buckets import PIPELINES, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.revisions import current, delete, history, write
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import ConfigError, NatsError

from .conftest import MINIMAL, Background

Scenario = Callable[[Client], Awaitable[None]]


def stored(customer: str = "acme", pipeline: str = "orders", total: int = 100, user: str = "ann") -> Stored:
    text = MINIMAL.replace("acme", customer).replace("pipeline: orders", f"pipeline: {pipeline}")
    one = parse("orders.yaml", text.replace("100.0", f"{total}.0").encode(), Path("orders.yaml"))
    return Stored.of(one, "orders.yaml").by(user, "ann@laptop")


@pytest.fixture
def with_bucket(background: Background, endpoint: Endpoint) -> Callable[[Scenario], None]:
    def run(scenario: Scenario) -> None:
        async def connected() -> None:
            async with connect(endpoint) as client:
                await make(client, PIPELINES, None)
                await scenario(client)

        background(connected())

    return run


def test_what_was_written_is_read_with_user_and_time_of_the_server(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        before = time.time()
        assert await write(client, stored(), 0) == 1
        (one,) = (await current(client)).values()
        assert (one.key, one.sequence, one.user, one.note) == ("acme.orders", 1, "ann", "ann@laptop")
        assert one.stored == stored()
        assert before - 1 < one.time < time.time() + 1

    with_bucket(scenario)


def test_only_the_customers_asked_for_are_read(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        for customer in ("acme", "beta", "zeta"):
            await write(client, stored(customer), 0)
        assert set(await current(client, {"acme", "zeta", "nobody"})) == {"acme.orders", "zeta.orders"}
        assert set(await current(client, {f"c-{number}" for number in range(100)} | {"beta"})) == {"beta.orders"}
        assert await current(client, set()) == {}

    with_bucket(scenario)


def test_the_second_of_two_who_write_at_once_hears_who_was_first(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        await write(client, stored(user="ann"), 0)
        await write(client, stored(total=200, user="bob"), 1)
        with pytest.raises(ConfigError) as caught:
            await write(client, stored(total=300, user="eve"), 1)
        assert caught.value.code == "config/changed-meanwhile"
        revision = stored(total=200).revision
        assert f"acme/orders was changed to revision {revision} by bob (ann@laptop) at 20" in caught.value.reason
        with pytest.raises(ConfigError, match="by bob"):
            await delete(client, "acme.orders", "eve", "", 1)
        (one,) = (await current(client)).values()
        assert one.user == "bob"

    with_bucket(scenario)


def test_a_deletion_has_who_and_why_and_leaves_the_history(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        await write(client, stored(), 0)
        await delete(client, "acme.orders", "bob", "moved\r\nVrsky-User: eve", 1)
        first, last = await history(client, "acme.orders")
        assert first.revision == stored().revision
        assert (last.is_deleted, last.user, last.note) == (True, "bob", "moved??Vrsky-User: eve")
        with pytest.raises(ConfigError, match="was deleted by bob"):
            await write(client, stored(), 1)
        assert await write(client, stored(), 2) == 3

    with_bucket(scenario)


def test_a_value_written_by_hand_is_shown_as_what_it_is(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        await put(client, PIPELINES, "acme.orders", b"a: pipeline", {}, None)
        (one,) = await history(client, "acme.orders")
        assert one.problem is not None
        assert one.problem.code == "config/not-a-pipeline"
        assert not one.is_deleted
        assert await write(client, stored(), one.sequence) == 2

    with_bucket(scenario)


def test_a_pipeline_that_never_was_has_no_history(with_bucket: Callable[[Scenario], None]) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(ConfigError) as caught:
            await history(client, "acme.orders")
        assert caught.value.code == "config/unknown-pipeline"

    with_bucket(scenario)


def test_a_document_that_the_server_does_not_take_is_named_with_its_size(
    background: Background, server: Server
) -> None:
    async def scenario() -> None:
        async with connect(server.endpoint) as client:
            await make(client, PIPELINES, None)
            big = stored()
            big = Stored(**(vars(big) | {"texts": {"table.csv": "x" * client.max_payload}}))
            with pytest.raises(NatsError) as caught:
                await write(client, big, 0)
            assert caught.value.code == "nats/max-payload"
            assert "acme/orders takes" in caught.value.reason
            assert f"{client.max_payload:,}" in caught.value.reason
            assert await current(client) == {}

    background(scenario())
