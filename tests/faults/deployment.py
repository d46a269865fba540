"""A process for each node type, on servers that the test started, and the sink that all of them deliver to.

The nodes of a fused deployment read files, as `vrsky run` does; those of a split one the bucket, as `vrsky node`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from ..conftest import clean_environment, command
from ..end_to_end.node import PATIENCE, Node
from ..end_to_end.servers import Server, closed_port, serving
from .customers import FILES, Customer
from .servers import Servers

TYPES = {
    "fused": ("incoming", "logic", "outgoing"),
    "split": ("incoming", "converter", "filter", "outgoing"),
}


class Deployment:
    """`in_flight` is how many messages nodes had in hand when they were killed, by node type."""

    def __init__(self, folder: Path, servers: Servers, topology: str = "fused") -> None:
        self._folder, self.servers, self._topology = folder, servers, topology
        self.port = closed_port()
        self._types = TYPES[topology]
        self.in_flight = dict.fromkeys(self._types, 0)
        self._nodes: dict[str, Node] = {}
        self._held = ExitStack()

    def __enter__(self) -> Deployment:
        self.sink: Server = self._held.enter_context(serving())
        with ExitStack() as begun:
            begun.push(self.__exit__)
            self._begin()
            begun.pop_all()
        return self

    def _begin(self) -> None:
        self.customers = [Customer(name, self._folder / "pipelines", self.sink.url) for name in FILES]
        for node_type in self._types:
            self.start(node_type)
        for node_type in self._types:
            self._nodes[node_type].hears("ready")
        if self._topology == "split":
            self._apply()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self._nodes.values():
            node.close()
        self._held.close()

    def start(self, node_type: str) -> None:
        arguments = ["--nats", self.servers.url, "--listen", f"127.0.0.1:{self.port}", *self._replicas]
        arguments += ["--type", node_type]
        verb = ["node", "--topology", "split", "--allow", "127.0.0.1"] if self._topology == "split" else None
        self._nodes[node_type] = Node(self._folder, *arguments, data=self._folder / node_type, verb=verb)

    @property
    def _replicas(self) -> list[str]:
        return ["--replicas", str(self.servers.replicas)] if self.servers.replicas > 1 else []

    def _apply(self) -> None:
        """Ends when every node has acknowledged the pipelines."""
        apply = command("apply", self._folder / "pipelines", "--nats", self.servers.url, "--yes", *self._replicas)
        done = subprocess.run(apply, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment())
        assert done.returncode == 0, done.stdout + done.stderr

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
        for node_type in self._types:
            assert self._nodes[node_type].stop() == 0, self._nodes[node_type].ended_with()
