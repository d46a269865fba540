"""What a node needs of its NATS server: lane streams, and the consumers of its NATS ins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client

from ..config import InvalidConfig, PipelineFile
from ..control.connection import connect
from ..control.durables import Owner
from ..control.provision import consumer_of_source, provision, share
from ..control.server import Server
from ..control.server_config import Endpoint
from ..control.upkeep import Upkeep, provisioned
from ..errors import ConfigError
from .polling import Watcher
from .profile import Profile


async def prepare(
    endpoint: Endpoint,
    server: Server | None,
    profile: Profile,
    watcher: Watcher,
    asked: asyncio.Event,
) -> int | None:
    """Makes the streams that are not there yet; waits for a cluster that has no leader. The server's `max_payload`,
    bytes; None when `asked` is set before. Raises NatsError."""
    max_payload = 0

    async def everything() -> list[str]:
        nonlocal max_payload
        async with connect(endpoint) as client:
            max_payload = client.max_payload
            return await make_streams(client, server, profile)

    done = await provisioned(everything, asked, watcher.note)
    if done is None:
        return None
    if done:
        watcher.note(f"provisioned {len(done)} streams and consumers")
    return max_payload


def upkeep(endpoint: Endpoint, server: Server | None, profile: Callable[[], Profile], watcher: Watcher) -> Upkeep:
    """Of streams that are gone, and of shares of a disk on which others take room, and leave it again. `profile` is
    what the node serves at present."""

    async def again() -> list[str]:
        async with connect(endpoint) as client:
            return await make_streams(client, server, profile())

    return Upkeep(again, watcher.note)


async def make_streams(client: Client, server: Server | None, profile: Profile) -> list[str]:
    """Makes the streams that are not there yet; what was made. Raises NatsError."""
    wanted = profile.streams()
    # Another server's disk is its operator's.
    return await provision(client, wanted) if server is None else await share(client, wanted, server.layout.store)


async def source(client: Client, one: PipelineFile) -> list[str]:
    """Makes the consumer of a NATS in that is not there yet. Raises NatsError, and InvalidConfig for the durable of
    another customer."""
    source = one.summary.source
    if source.jetstream is None:
        return []
    try:
        return await consumer_of_source(client, source.jetstream, Owner(one.customer, one.pipeline))
    except ConfigError as error:
        raise InvalidConfig([one.problem(error.code, error.reason, f"{source.pointer}/durable")]) from None
