"""Nodes for the tests of the whole flow, and servers that take, or do not take, what they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from vrsky_fast.control.server import Server

from ..conftest import Background
from .broker import Broker
from .node import Node

StartNode = Callable[..., Node]
BrokerOf = Callable[[Node | Server], Broker]


def write_pipelines(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / "pipelines" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    """Starts a run of these pipeline files in the test's folder, as often as wanted."""
    nodes: list[Node] = []

    def start(
        files: dict[str, str],
        *arguments: str | Path,
        data: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Node:
        write_pipelines(tmp_path, files)
        nodes.append(Node(tmp_path, *arguments, data=data, environment=environment))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def broker_of(background: Background) -> BrokerOf:
    """The NATS server of a node, once messages flow, or one of the test's own."""

    def of(one: Node | Server) -> Broker:
        if isinstance(one, Server):
            return Broker(background, one.layout.data)
        one.hears("ready")
        return Broker(background, one.data)

    return of


@pytest.fixture(scope="module")
def start_shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, str]], Node]]:
    """The same for a node that all tests of a module use."""
    nodes: list[Node] = []

    def start(files: dict[str, str]) -> Node:
        folder = tmp_path_factory.mktemp("shared")
        write_pipelines(folder, files)
        nodes.append(Node(folder))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()
