"""The nodes of the manifests as real processes: their arguments, probes and end, against the NATS of the manifests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.facts import NODE_TYPES

from ..conftest import post
from ..end_to_end.node import eventually
from ..end_to_end.servers import Gate, Server, serving
from .container import Container, apply
from .manifests import OVERLAYS, container_of, node_deployments, type_of
from .nats import Servers
from .processes import PATIENCE, get

ORDERS = """
customer: acme
pipeline: orders
in: {{http: {{path: /orders, auth: {{bearer: {{secret: token}}}}}}}}
steps: [{{convert: {{from: xml}}}}]
out: {{http: {{url: '{url}/orders', timeout: 60s}}}}
"""
TYPES = [type_of(deployment) for deployment in node_deployments("k3s")]

Start = Callable[[str, str], Container]


def component(type_: str, overlay: str = "k3s") -> dict[str, Any]:
    """The container of a node type."""
    return next(container_of(one) for one in node_deployments(overlay) if type_of(one) == type_)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with Servers(tmp_path) as servers:
        yield servers


@pytest.fixture
def start(tmp_path: Path, servers: Servers) -> Iterator[Start]:
    """Starts the container of a node type with one pipeline, which posts to this address; ready when it returns."""
    containers: list[Container] = []
    folder = tmp_path / "pipelines"
    folder.mkdir()

    def run(type_: str, url: str) -> Container:
        (folder / "orders.yaml").write_text(ORDERS.format(url=url))
        apply(folder, servers)
        container = Container(component(type_), tmp_path / type_, servers, {"acme/token": "open-sesame"})
        containers.append(container)
        container.passes(component(type_)["startupProbe"])
        return container

    yield run
    for container in containers:
        container.close()


@pytest.fixture
def sink() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.parametrize("type_", TYPES)
def test_the_arguments_of_a_container_make_a_node_that_answers_every_probe(
    type_: str, start: Start, sink: Server
) -> None:
    container, manifest = start(type_, sink.url), component(type_)
    for probe in ("readinessProbe", "livenessProbe"):
        container.passes(manifest[probe])
    assert "vrsky_pipelines 1.0" in get(f"http://127.0.0.1:{container.ports['metrics']}/metrics")[1]
    container.terminate()
    assert container.process.wait(PATIENCE) == 0, container.errors()


def test_a_message_passes_all_node_types_with_the_permissions_of_the_manifest(
    start: Start, sink: Server, servers: Servers
) -> None:
    nodes = [start(type_, sink.url) for type_ in TYPES]
    status, _ = send(nodes[TYPES.index("incoming")], "<n>1</n>")
    assert status == 202
    assert sink.got(b'"n"').body
    for node in nodes:
        node.terminate()
        assert node.process.wait(PATIENCE) == 0, node.errors()
    assert "Violation" not in servers.said()


def test_sigterm_ends_the_readiness_and_finishes_what_is_in_hand(start: Start, sink: Server) -> None:
    gate = Gate()
    sink.rule = gate
    nodes = {type_: start(type_, sink.url) for type_ in TYPES}
    assert send(nodes["incoming"], "<n>1</n>")[0] == 202
    eventually(lambda: sink.requests, "the sink has the request")
    node, manifest = nodes["outgoing"], component("outgoing")
    node.terminate()
    eventually(lambda: node.probe(manifest["readinessProbe"]) == 503, "it drains")
    # A drain is no reason to restart it.
    assert node.probe(manifest["livenessProbe"]) == 200
    gate.open()
    assert node.process.wait(PATIENCE) == 0, node.errors()
    assert len(sink.taken) == 1


def test_every_node_type_of_the_program_has_a_deployment() -> None:
    found = {type_of(deployment) for overlay in OVERLAYS for deployment in node_deployments(overlay)}
    assert found == set(NODE_TYPES)


def send(container: Container, body: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{container.ports['http']}/in/acme/orders"
    return post(url, body.encode(), Authorization="Bearer open-sesame")
