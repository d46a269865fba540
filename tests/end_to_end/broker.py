"""The NATS server of a run, as its operator sees it: streams, consumers, and what is published by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from nats.js.api import ConsumerInfo

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server_config import Endpoint, Layout, recall

from ..conftest import Background
from .node import eventually


class Broker:
    """Every call is a connection of its own: the server may have been started again in between."""

    def __init__(self, background: Background, data: Path) -> None:
        self._background = background
        self.layout = Layout(data)

    @property
    def endpoint(self) -> Endpoint:
        return eventually(lambda: recall(self.layout), "a server that runs")[1]

    @property
    def port(self) -> int:
        return int(self.endpoint.url.rpartition(":")[2])

    @property
    def url(self) -> str:
        """For `--nats`."""
        return self.url_on(self.port)

    def url_on(self, port: int) -> str:
        """The same, for what listens there in its place."""
        return f"nats://{self.endpoint.user}:{self.endpoint.password}@127.0.0.1:{port}"

    def disconnects(self) -> int:
        """How often it hung up on a client that did not read."""
        return self.layout.log.read_text(errors="replace").count("Slow Consumer Detected")

    def publish(self, subject: str, payloads: Iterable[bytes]) -> None:
        """Without waiting for anybody to take them; returns when the server has all of them."""

        async def publish() -> None:
            async with connect(self.endpoint) as client:
                for payload in payloads:
                    await client.publish(subject, payload)
                await client.flush(timeout=60)

        self._background(publish(), 90.0)

    def make_stream(self, name: str, subject: str) -> None:
        async def make() -> None:
            async with connect(self.endpoint) as client:
                await client.jetstream().add_stream(name=name, subjects=[subject])

        self._background(make())

    def stored(self, stream: str) -> int:
        """Messages that a stream holds."""

        async def ask() -> int:
            async with connect(self.endpoint) as client:
                return (await client.jetstream().stream_info(stream)).state.messages

        return self._background(ask())

    def shorten_window(self, stream: str, seconds: float) -> None:
        """For how long the stream knows a message's id again."""

        async def change() -> None:
            async with connect(self.endpoint) as client:
                jetstream = client.jetstream()
                config = (await jetstream.stream_info(stream)).config
                await jetstream.update_stream(config.evolve(duplicate_window=seconds))

        self._background(change())

    def expire(self, stream: str, consumer: str) -> None:
        """Lets it offer again what nobody has acked, without the wait of 10 s. For when no node runs; the next
        one sets the wait again."""

        async def change() -> None:
            async with connect(self.endpoint) as client:
                jetstream = client.jetstream()
                config = (await jetstream.consumer_info(stream, consumer)).config
                await jetstream.add_consumer(stream, config.evolve(ack_wait=0.1))
                # Nothing tells when it has noticed; it looks after 100 ms.
                await asyncio.sleep(1)

        self._background(change())

    def _consumers(self, stream: str) -> list[ConsumerInfo]:
        async def ask() -> list[ConsumerInfo]:
            async with connect(self.endpoint) as client:
                return await client.jetstream().consumers_info(stream)

        return self._background(ask())

    def in_hand(self, stream: str) -> int:
        """Messages that were delivered to nodes and are not acked yet."""
        return sum(one.num_ack_pending or 0 for one in self._consumers(stream))

    def deliveries(self, stream: str) -> int:
        """Messages that were delivered to nodes, each as often as it was."""
        return sum(one.delivered.consumer_seq for one in self._consumers(stream) if one.delivered)

    def redeliveries(self, stream: str) -> int:
        """How many of the deliveries were not a message's first."""
        delivered = [one.delivered for one in self._consumers(stream) if one.delivered]
        return sum(one.consumer_seq - one.stream_seq for one in delivered)
