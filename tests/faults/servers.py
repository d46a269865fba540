"""nats-servers that are killed and started again, on the port and the store that they had."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from nats.aio.client import Client

from vrsky_fast.control import server_config
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.errors import NatsError

from ..clusters import free_ports, member
from ..conftest import Background
from ..end_to_end.node import eventually
from ..end_to_end.streams import api

T = TypeVar("T")


class Servers:
    """One nats-server, or a cluster; ended with the block. Each has JetStream."""

    def __init__(self, folder: Path, background: Background, count: int) -> None:
        self._background = background
        self._folder = folder
        self.replicas = count
        ports = free_ports(2 * count)
        self.ports, routes = ports[:count], ports[count:]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        for number in range(count):
            self._configure(number, routes)

    def _configure(self, number: int, routes: list[int]) -> None:
        home = self._home(number)
        home.mkdir(parents=True)
        text = f'host: "127.0.0.1"\nport: {self.ports[number]}\n'
        text += f'jetstream {{ store_dir: "{home}" }}\nlog_file: "{home / "log.txt"}"\n'
        if self.replicas > 1:
            text += member(number, routes)
        (home / "server.conf").write_text(text)

    def _home(self, number: int) -> Path:
        return self._folder / f"n{number}"

    def __enter__(self) -> Servers:
        for number in range(self.replicas):
            self.start(number)
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in list(self._processes):
            self.kill(number)

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self.ports)

    @property
    def endpoint(self) -> Endpoint:
        return endpoint_of(self.url)

    def start(self, number: int = 0) -> None:
        command = [server_config.binary(), "-c", str(self._home(number) / "server.conf")]
        self._processes[number] = subprocess.Popen(command)

    def kill(self, number: int = 0) -> None:
        """With SIGKILL."""
        process = self._processes.pop(number)
        process.kill()
        process.wait()

    def wait(self) -> None:
        """Until JetStream answers, and every stream that there is has a leader and all of its replicas."""

        async def are_whole() -> bool:
            async with connect(self.endpoint) as client:
                return all([_is_whole(one, self.replicas) async for one in _streams(client)])

        eventually(lambda: self.told(are_whole), "streams with all of their replicas", 90)

    def leader(self, stream: str) -> int:
        """The number of the server that leads this stream; waits until there is one."""

        async def leader() -> str:
            async with connect(self.endpoint) as client:
                return str((await api(client, f"STREAM.INFO.{stream}"))["cluster"].get("leader", ""))

        return int(eventually(lambda: self.told(leader), f"a leader of {stream}", 60).removeprefix("n"))

    def in_hand(self, node_type: str) -> int:
        """How many messages nodes of this type have in hand: delivered by their lanes, and not yet acked."""
        return self._sum(f"VRSKY_{node_type.upper()}_", lambda one: one["num_ack_pending"])

    def redelivered(self) -> int:
        """How many messages in hand have been delivered more than once."""
        return self._sum("VRSKY_", lambda one: one["num_redelivered"])

    def delivered_again(self, node_type: str) -> int:
        """How many deliveries of its lanes have been repetitions, since their consumers were made."""
        lanes = f"VRSKY_{node_type.upper()}_"
        # A lane has one consumer, which gets each message of the stream once, and what it gets again.
        return self._sum(lanes, lambda one: one["delivered"]["consumer_seq"] - one["delivered"]["stream_seq"])

    def stored(self, stream: str) -> int:
        """How many messages a stream holds."""

        async def stored() -> int:
            async with connect(self.endpoint) as client:
                return int((await api(client, f"STREAM.INFO.{stream}"))["state"]["messages"])

        return self.told(stored)

    def ever_stored(self, prefix: str) -> int:
        """How many messages the streams of this prefix have ever stored."""

        async def count() -> int:
            async with connect(self.endpoint) as client:
                streams = [one async for one in _streams(client) if one["config"]["name"].startswith(prefix)]
                return sum(one["state"]["last_seq"] for one in streams)

        return self.told(count)

    def set_ack_wait(self, seconds: float) -> None:
        """Of the consumers of all lanes."""

        async def shorten() -> None:
            async with connect(self.endpoint) as client:
                async for one in _consumers(client, "VRSKY_"):
                    stream, name = one["stream_name"], one["name"]
                    config = one["config"] | {"ack_wait": int(seconds * 1e9)}
                    wanted = {"stream_name": stream, "config": config, "action": "update"}
                    await api(client, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", wanted)

        self.told(shorten)

    def told(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What a server answers; asks again while none does."""

        def once() -> list[T]:
            try:
                return [self._background(ask(), 15)]
            except (NatsError, AssertionError, TimeoutError, OSError):
                return []

        return eventually(once, "an answer of a server", 90)[0]

    def _sum(self, prefix: str, number: Callable[[dict[str, Any]], int]) -> int:
        """Of a number that each consumer has."""

        async def add() -> int:
            async with connect(self.endpoint) as client:
                return sum([number(one) async for one in _consumers(client, prefix)])

        return self.told(add)


async def _consumers(client: Client, prefix: str) -> AsyncIterator[dict[str, Any]]:
    """Those of the streams whose names begin like this."""
    async for stream in _streams(client):
        name = stream["config"]["name"]
        if name.startswith(prefix):
            for one in (await api(client, f"CONSUMER.LIST.{name}"))["consumers"] or []:
                yield one


async def _streams(client: Client) -> AsyncIterator[dict[str, Any]]:
    for one in (await api(client, "STREAM.LIST"))["streams"] or []:
        yield one


def _is_whole(stream: dict[str, Any], count: int) -> bool:
    if count == 1:
        return True
    cluster = stream["cluster"]
    others = cluster.get("replicas") or []
    wanted = stream["config"]["num_replicas"]
    return bool(cluster.get("leader")) and len(others) == wanted - 1 and all(one["current"] for one in others)
