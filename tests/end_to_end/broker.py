"""The NATS server of a run, as its operator sees it: what streams hold, what nodes have in hand, and what is
published by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from vrsky_fast.control.connection import connect
from vrsky_fast.control.server_config import Endpoint, Layout, recall

from ..conftest import Background
from .node import PATIENCE, eventually
from .streams import call, held, make

T = TypeVar("T")


class Broker:
    """Every call is a connection of its own: the server may have been started again in between."""

    def __init__(self, background: Background, data: Path) -> None:
        self._background = background
        self._layout = Layout(data)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._background(work, PATIENCE)

    @property
    def endpoint(self) -> Endpoint:
        return eventually(lambda: recall(self._layout), "a server that runs")[1]

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
        return self._layout.log.read_text(errors="replace").count("Slow Consumer Detected")

    # -- streams --------------------------------------------------------------------------------

    def publish(self, subject: str, payloads: Iterable[bytes]) -> None:
        """Without waiting for anybody to take them; returns when the server has all of them."""

        async def publish() -> None:
            async with connect(self.endpoint) as client:
                for payload in payloads:
                    await client.publish(subject, payload)
                await client.flush(timeout=60)

        self._wait(publish())

    def make_stream(self, name: str, subject: str) -> None:
        self._wait(make(self.endpoint, name, subject))

    def stored(self, stream: str) -> int:
        """Messages that a stream holds."""
        return self._wait(held(self.endpoint, stream))

    def shorten_window(self, stream: str, seconds: float) -> None:
        """For how long the stream knows a message's id again."""

        async def change() -> None:
            config = (await call(self.endpoint, f"STREAM.INFO.{stream}"))["config"]
            config["duplicate_window"] = int(seconds * 1e9)
            await call(self.endpoint, f"STREAM.UPDATE.{stream}", config)

        self._wait(change())

    # -- consumers ------------------------------------------------------------------------------

    def expire(self, stream: str, consumer: str) -> None:
        """Lets it offer again what nobody has acked, without the wait of 10 s. For when no node runs; the next
        one sets the wait again."""

        async def change() -> None:
            config = (await call(self.endpoint, f"CONSUMER.INFO.{stream}.{consumer}"))["config"]
            config["ack_wait"] = int(0.1e9)
            wanted = {"stream_name": stream, "config": config}
            await call(self.endpoint, f"CONSUMER.DURABLE.CREATE.{stream}.{consumer}", wanted)
            # It looks every 100 ms, and nothing tells when it has.
            await asyncio.sleep(1)

        self._wait(change())

    def _consumers(self, stream: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._wait(call(self.endpoint, f"CONSUMER.LIST.{stream}"))["consumers"]
        return found

    def in_hand(self, stream: str) -> int:
        """Messages that were delivered to nodes and are not acked yet."""
        return sum(one["num_ack_pending"] for one in self._consumers(stream))

    def deliveries(self, stream: str) -> int:
        """Messages that were delivered to nodes, each as often as it was."""
        return sum(one["delivered"]["consumer_seq"] for one in self._consumers(stream))

    def redeliveries(self, stream: str) -> int:
        """How many of the deliveries were not a message's first."""
        delivered = [one["delivered"] for one in self._consumers(stream)]
        return sum(one["consumer_seq"] - one["stream_seq"] for one in delivered)
