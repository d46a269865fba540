"""A process for each node type, on servers that the test started, and the sink that all of them deliver to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from ..end_to_end.node import Node
from ..end_to_end.servers import Server, closed_port, serving
from .customers import FILES, Customer
from .servers import Servers

TYPES = ("incoming", "logic", "outgoing")


class Deployment:
    """`in_flight` is how many messages nodes had in hand when they were killed, by node type."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        self._folder, self.servers = folder, servers
        self.port = closed_port()
        self.in_flight = dict.fromkeys(TYPES, 0)
        self._nodes: dict[str, Node] = {}
        self._held = ExitStack()

    def __enter__(self) -> Deployment:
        self.sink: Server = self._held.enter_context(serving())
        self.customers = [Customer(name, self._folder / "pipelines", self.sink.url) for name in FILES]
        for node_type in TYPES:
            self.start(node_type)
        for node_type in TYPES:
            self._nodes[node_type].hears("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self._nodes.values():
            node.close()
        self._held.close()

    def start(self, node_type: str) -> None:
        arguments = ["--type", node_type, "--nats", self.servers.url, "--listen", f"127.0.0.1:{self.port}"]
        if self.servers.replicas > 1:
            arguments += ["--replicas", str(self.servers.replicas)]
        self._nodes[node_type] = Node(self._folder, *arguments, data=self._folder / node_type)

    def kill(self, node_type: str, in_hand: Callable[[], int]) -> int:
        """With SIGKILL; a new process takes its place. How many messages it had in hand, which `in_hand` is asked for
        between the two."""
        self._nodes[node_type].kill()
        self._nodes[node_type].close()
        found = in_hand()
        self.in_flight[node_type] += found
        self.start(node_type)
        self._nodes[node_type].hears("ready")
        return found

    def stop(self) -> None:
        """Each with SIGTERM, in the order in which messages pass."""
        for node_type in TYPES:
            assert self._nodes[node_type].stop() == 0, self._nodes[node_type].ended_with()
