"""An autoscaler of the manifests follows the backlog of real nodes.

Pods are fake, and their numbers are those of real nodes, one for each type: Prometheus reads a real `/metrics` for each
pod, the rules of deploy/prometheus/adapter-rules.yaml make a metric of it, and the controller of Kubernetes decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import post
from ..end_to_end.node import eventually
from ..end_to_end.servers import Gate, Server, serving
from .cluster import Cluster, render
from .container import Container, apply
from .manifests import QUICK, container_of, objects, type_of
from .metrics_api import MetricsApi
from .nats import Servers
from .processes import PATIENCE
from .prometheus import Prometheus

# One message makes a thousand, so that the lane fills at once, and a hundred of them are delivered by one request.
ORDERS = """
customer: acme
pipeline: orders
in: {{http: {{path: /orders, auth: {{bearer: {{secret: token}}}}}}}}
limits: {{backlog: 10000}}
steps:
  - script: {{language: js, code: "export default (msg) => Array.from({{length: 1000}}, (_, n) => ({{n}}))"}}
out: {{http: {{url: '{url}/orders', timeout: 5m, concurrency: 2, batch: {{wait: 10ms}}}}}}
"""
PARTS = 1_000
ORDERS_SENT = 4


@dataclass
class World:
    cluster: Cluster
    prometheus: Prometheus
    incoming: Container
    sink: Server
    release: Gate

    def replicas(self, type_: str) -> int:
        """Those that are ready."""
        status = self.cluster.get(f"deployment/vrsky-{type_}", "--namespace=vrsky")["status"]
        return int(status.get("readyReplicas", 0))

    def backlog(self) -> float | None:
        found = self.prometheus.external("vrsky_backlog_seconds", {"namespace": "vrsky", "type": "outgoing"})
        return found[0][1] if found else None


@pytest.fixture
def world(cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    manifests, release = render(QUICK), Gate()
    (tmp_path / "pipelines").mkdir()
    with ExitStack() as undo:
        sink = undo.enter_context(serving(rule=release))
        undo.callback(release.open)
        (tmp_path / "pipelines" / "orders.yaml").write_text(ORDERS.format(url=sink.url))
        servers = undo.enter_context(Servers(tmp_path))
        apply(tmp_path / "pipelines", servers)
        undo.enter_context(cluster.applied(manifests))
        nodes: dict[str, Container] = {}
        containers = {type_of(one): container_of(one) for one in objects(manifests, "Deployment")}
        for type_, container in containers.items():
            secrets = {"acme/token": "open-sesame"}
            nodes[type_] = Container(container, tmp_path / type_, servers, secrets)
            undo.callback(nodes[type_].close)
        for type_, node in nodes.items():
            node.passes(containers[type_]["startupProbe"])
        api = MetricsApi(cluster, lambda type_: f"127.0.0.1:{nodes[type_].ports['metrics']}")
        undo.callback(api.close)
        prometheus = Prometheus(tmp_path, api.discovery)
        undo.callback(prometheus.close)
        api.register(prometheus)
        yield World(cluster, prometheus, nodes["incoming"], sink, release)


def test_outgoing_nodes_follow_their_backlog_up_and_down(world: World) -> None:
    # Every autoscaler gets each of its metrics: CPU, and one of ours.
    world.cluster.kubectl(
        "wait", "hpa", "--all", "--namespace=vrsky", "--for=condition=ScalingActive", f"--timeout={PATIENCE:.0f}s"
    )
    eventually(lambda: world.replicas("outgoing") == 1, "there is one outgoing node", PATIENCE)
    for _ in range(ORDERS_SENT):
        send(world.incoming)
    eventually(lambda: (world.backlog() or 0) > 100, "a backlog is seen", PATIENCE)
    most = world.cluster.get("hpa/vrsky-outgoing", "--namespace=vrsky")["spec"]["maxReplicas"]
    eventually(lambda: world.replicas("outgoing") == most, "there are as many as may be", PATIENCE)
    # Eight pods show the same streams: a message counts once.
    assert 100 < (world.backlog() or 0) <= ORDERS_SENT * PARTS
    assert world.replicas("logic") == 1
    world.release.open()
    eventually(lambda: delivered(world.sink) >= ORDERS_SENT * PARTS, "everything is delivered", PATIENCE)
    eventually(lambda: world.replicas("outgoing") == 1, "one node is left", PATIENCE)


def delivered(sink: Server) -> int:
    return sum(len(json.loads(request.body)) for request in list(sink.taken))


def send(node: Container) -> None:
    url = f"http://127.0.0.1:{node.ports['http']}/in/acme/orders"
    status, answer = post(url, b"{}", "application/json", Authorization="Bearer open-sesame")
    assert status == 202, answer
