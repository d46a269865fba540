"""What a node needs of its NATS server: lane streams, and the consumers of its NATS ins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from nats.aio.client import Client

from ..config import InvalidConfig, PipelineFile
from ..control import streams
from ..control.connection import connect
from ..control.durables import Owner
from ..control.provision import consumer_of_source, provision, share
from ..control.server import Server
from ..control.server_config import Endpoint
from ..errors import ConfigError, VrskyError
from .polling import Watcher
from .profile import Profile

# Between two looks at how much room the disk has.
_SHARE_SECONDS = 30.0


async def prepare(
    endpoint: Endpoint, server: Server | None, profile: Profile, pipelines: Sequence[PipelineFile], watcher: Watcher
) -> None:
    """Makes the streams and consumers that are not there yet. Raises NatsError, and InvalidConfig for an in that
    names the durable of another customer."""
    async with connect(endpoint) as client:
        done = await _streams(client, server, profile)
        for one in pipelines:
            done += await _source(client, one, watcher)
    if done:
        watcher.note(f"provisioned {len(done)} streams and consumers")


async def share_again(server: Server, profile: Profile, watcher: Watcher) -> NoReturn:
    """Others take room on the disk, and leave it again."""
    while True:
        await asyncio.sleep(_SHARE_SECONDS)
        try:
            async with connect(server.endpoint) as client:
                done = await _streams(client, server, profile)
        except (VrskyError, OSError):
            continue  # the server is away, or the disk is full: later
        if done:
            watcher.note(f"the room on the disk has changed: {'; '.join(done)}")


async def _streams(client: Client, server: Server | None, profile: Profile) -> list[str]:
    wanted = list(streams.topology(profile.tiers, profile.lanes))
    # Another server's disk is its operator's.
    return await provision(client, wanted) if server is None else await share(client, wanted, server.layout.store)


async def _source(client: Client, one: PipelineFile, watcher: Watcher) -> list[str]:
    source = one.summary.source
    if source.jetstream is not None:
        try:
            return await consumer_of_source(client, source.jetstream, Owner(one.customer, one.pipeline))
        except ConfigError as error:
            raise InvalidConfig([one.problem(error.code, error.reason, f"{source.pointer}/durable")]) from None
    if source.address is None:
        watcher.note(f"{one.name}: core NATS in is at most once")
    return []
