"""A durable is of one customer: another one that names it is refused, and what is taken over stays where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig

from vrsky_fast.config.summary import JetStream
from vrsky_fast.control.connection import connect
from vrsky_fast.control.durables import Owner
from vrsky_fast.control.presence import look_for_stream
from vrsky_fast.control.provision import consumer_of_source
from vrsky_fast.control.server import Server
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.subjects import ask as ask_server
from vrsky_fast.errors import ConfigError

from .conftest import Background, Running, Vrsky

SHARED = JetStream("orders.>", "IN", "shared")
# Joined by a hyphen they are one.
ACME, ACME_EU = Owner("acme", "eu-orders"), Owner("acme-eu", "orders")


def on_a_stream(background: Background, endpoint: Endpoint, scenario):  # type: ignore[no-untyped-def]
    async def run():  # type: ignore[no-untyped-def]
        async with connect(endpoint) as client:
            await client.jetstream().add_stream(StreamConfig(name="IN", subjects=["orders.>", "returns.>"]))
            return await scenario(client)

    return background(run())


async def config(client: Client) -> ConsumerConfig:
    return (await client.jetstream().consumer_info("IN", "shared")).config


def test_another_customer_is_refused_and_changes_nothing(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await consumer_of_source(client, SHARED, ACME)
        made = await config(client)
        for source in (SHARED, JetStream("returns.>", "IN", "shared")):
            with pytest.raises(ConfigError) as caught:
                await consumer_of_source(client, source, ACME_EU)
            assert caught.value.code == "config/conflict"
            assert "the durable shared of the stream IN is that of acme/eu-orders" in str(caught.value)
            with pytest.raises(ConfigError):
                await look_for_stream(client, source, ACME_EU)
        assert await config(client) == made
        await look_for_stream(client, SHARED, ACME)
        assert await consumer_of_source(client, SHARED, ACME) == []

    on_a_stream(background, endpoint, scenario)


def test_a_renamed_pipeline_goes_on_where_it_was(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await consumer_of_source(client, SHARED, ACME)
        await client.jetstream().publish("orders.1", b"{}")
        reader = await client.jetstream().pull_subscribe_bind("shared", "IN")
        await (await reader.fetch(1, timeout=10))[0].ack_sync()
        assert await consumer_of_source(client, SHARED, Owner("acme", "renamed")) == []
        info = await client.jetstream().consumer_info("IN", "shared")
        assert (info.num_pending, info.ack_floor.stream_seq if info.ack_floor else 0) == (0, 1)

    on_a_stream(background, endpoint, scenario)


def test_a_durable_that_was_there_before_is_taken_as_it_is(background: Background, endpoint: Endpoint) -> None:
    """Made by an earlier version or by hand: nobody knows whose it is, and what it says of itself stays."""

    async def scenario(client: Client) -> None:
        by_hand = ConsumerConfig(
            durable_name="shared",
            deliver_policy=DeliverPolicy.NEW,
            ack_wait=10.0,
            max_ack_pending=-1,
            filter_subject="orders.>",
            metadata={"team": "shop"},
        )
        await client.jetstream().add_consumer("IN", by_hand)
        await look_for_stream(client, SHARED, ACME)
        assert await consumer_of_source(client, SHARED, ACME) == []
        assert (await config(client)).deliver_policy == DeliverPolicy.NEW
        assert await consumer_of_source(client, SHARED, ACME_EU) == []

    on_a_stream(background, endpoint, scenario)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"filter_subject": "orders.eu"}, "is for orders.eu; the pipeline reads orders.>"),
        ({"filter_subject": None}, "is for every subject; the pipeline reads orders.>"),
        ({"max_deliver": 5}, "max_deliver 5; that has to be -1"),
        ({"ack_wait": 2.0}, "ack_wait of 2 s; at least 10 s"),
        ({"ack_policy": AckPolicy.ALL}, "has to be acked by itself"),
        ({"deliver_subject": "push.here"}, "pushes to push.here"),
        ({"headers_only": True}, "gives headers without payloads"),
        ({"max_batch": 1}, "grants 1 messages a request (max_batch); a node asks for up to 512"),
        ({"max_expires": 1_000_000_000}, "grants requests of 1 s (max_expires); a node asks for 30 s"),
        ({"max_bytes": 2_000}, "grants 2000 bytes a request (max_bytes)"),
        ({"priority_groups": ["a"], "priority_policy": "overflow"}, "gives messages to priority groups"),
    ],
)
def test_a_durable_of_somebody_else_that_cannot_be_used_is_refused_with_what_differs(
    background: Background, endpoint: Endpoint, odd: dict[str, Any], words: str
) -> None:
    async def scenario(client: Client) -> None:
        usual = {"durable_name": "shared", "filter_subject": "orders.>", "ack_policy": AckPolicy.EXPLICIT}
        known = {name: value for name, value in odd.items() if name in ConsumerConfig.__dataclass_fields__}
        await client.jetstream().add_consumer("IN", ConsumerConfig(**{**usual, **known}))
        if rest := odd.keys() - known.keys():
            # The library does not know these.
            told = await ask_server(client, "CONSUMER.INFO.IN.shared", {}, "it")
            await client.jetstream().delete_consumer("IN", "shared")
            wanted = {"stream_name": "IN", "config": told["config"] | {name: odd[name] for name in rest}}
            await ask_server(client, "CONSUMER.DURABLE.CREATE.IN.shared", wanted, "it")
        before = await config(client)
        for ask in (look_for_stream, consumer_of_source):
            with pytest.raises(ConfigError, match="config/conflict") as caught:
                await ask(client, SHARED, ACME)
            assert words in str(caught.value)
        assert await config(client) == before

    on_a_stream(background, endpoint, scenario)


def test_without_a_filter_it_reads_what_the_stream_has(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await client.jetstream().add_stream(StreamConfig(name="IN", subjects=["orders.>"]))
            await client.jetstream().add_consumer("IN", ConsumerConfig(durable_name="shared", max_ack_pending=-1))
            before = await config(client)
            await look_for_stream(client, SHARED, ACME)
            assert await consumer_of_source(client, SHARED, ACME) == []
            assert await config(client) == before

    background(scenario())


def test_a_durable_of_somebody_else_keeps_the_bounds_that_it_has(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        by_hand = ConsumerConfig(
            durable_name="shared", filter_subject="orders.>", ack_wait=60.0, max_ack_pending=5, max_deliver=-1
        )
        await client.jetstream().add_consumer("IN", by_hand)
        before = await config(client)
        assert await consumer_of_source(client, SHARED, ACME) == []
        assert await config(client) == before

    on_a_stream(background, endpoint, scenario)


def test_what_a_durable_says_of_itself_outlives_a_change(background: Background, endpoint: Endpoint) -> None:
    async def scenario(client: Client) -> None:
        await consumer_of_source(client, SHARED, ACME)
        made = await config(client)
        made.ack_wait, made.metadata = 60.0, {**(made.metadata or {}), "team": "shop"}
        await client.jetstream().add_consumer("IN", made)
        assert await consumer_of_source(client, SHARED, ACME) == ["consumer IN/shared: changed"]
        metadata = (await config(client)).metadata or {}
        assert {name: value for name, value in metadata.items() if not name.startswith("_nats.")} == {
            "team": "shop",
            "vrsky.customer": "acme",
            "vrsky.pipeline": "eu-orders",
        }

    on_a_stream(background, endpoint, scenario)


def test_check_and_run_name_the_line_of_a_durable_of_another_customer(
    vrsky: Vrsky,
    start: Callable[..., Running],
    write: Callable[[str, str], Path],
    server: Server,
    background: Background,
) -> None:
    async def scenario(client: Client) -> None:
        await consumer_of_source(client, SHARED, ACME)

    endpoint = server.endpoint
    on_a_stream(background, endpoint, scenario)
    reads = "in:\n  nats: {subject: orders.>, mode: jetstream, stream: IN, durable: shared}\nout: {stdout: {}}\n"
    path = write("orders.yaml", "customer: acme-eu\npipeline: orders\n" + reads)
    url = endpoint.url.replace("nats://", f"nats://{endpoint.user}:{endpoint.password}@")
    checked = vrsky("check", path, "--nats", url)
    assert (checked.returncode, "in  nats  config/conflict" in checked.stdout) == (1, True), checked.stdout
    refused = vrsky("run", path, "--nats", url)
    assert refused.returncode == 1
    assert "orders.yaml:4:67: config/conflict" in checked.stdout
    assert "orders.yaml:4:67: config/conflict" in refused.stderr
    assert "config/conflict: the durable shared of the stream IN is that of acme/eu-orders" in refused.stderr
    write("orders.yaml", "customer: acme\npipeline: eu-orders\n" + reads)
    run = start(path, "--nats", url)
    run.ready()
    assert run.stop() == 0
