"""The NATS server of a run: the one that was named, or one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ..control.connection import endpoint_of
from ..control.server import Server
from ..control.server_config import Endpoint
from .polling import Watcher
from .settings import Settings
from .signals import Stop


@asynccontextmanager
async def nats_server(
    settings: Settings, data: Path, watcher: Watcher, stop: Stop
) -> AsyncIterator[tuple[Endpoint, Server | None]]:
    """Where it is, and the process if it is ours, which ends with the context. Raises NatsError."""
    if settings.nats is not None:
        endpoint = endpoint_of(settings.nats, settings.tls, settings.access)
        watcher.note(f"NATS at {endpoint.url}")
        yield endpoint, None
        return
    server = Server(data)
    stop.server = server
    try:
        endpoint = await server.start()
        watcher.note(f"embedded nats-server at {endpoint.url}, messages in {server.layout.store}")
        yield endpoint, server
    finally:
        await server.stop()
