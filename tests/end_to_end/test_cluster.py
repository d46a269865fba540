"""A run on a cluster of three nats-servers, of which one is named: servers that end lose nothing that was accepted."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vrsky_fast.control.access import Access
from vrsky_fast.control.connection import connect, endpoint_of

from ..clusters import Cluster, Operator, free_ports
from ..conftest import Background, Vrsky
from .conftest import StartNode
from .load import ORDERS, under_load
from .node import Node, eventually
from .test_metrics import base, status


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path / "operator")


@pytest.fixture
def cluster(tmp_path: Path, operator: Operator) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster", f'lame_duck_grace_period: "1s"\n{operator.server()}') as cluster:
        yield cluster


@pytest.fixture
def start(start_node: StartNode, cluster: Cluster, operator: Operator) -> Callable[[], Node]:
    """Starts a run that knows the first server alone, and has learnt the others once it is ready."""

    def node() -> Node:
        url = f"nats://127.0.0.1:{cluster.servers[0].port}"
        environment = {"VRSKY_NATS": url, "VRSKY_NATS_CREDS": str(operator.creds())}
        return start_node({"orders.yaml": ORDERS}, "--replicas", "3", environment=environment)

    return node


@pytest.fixture
def start_metered(start_node: StartNode, cluster: Cluster, operator: Operator) -> Callable[[], Node]:
    """The same with metrics and probes; it knows no other server, so that it stays with the first."""

    def node() -> Node:
        url = f"nats://127.0.0.1:{cluster.servers[0].port}"
        environment = {"VRSKY_NATS": url, "VRSKY_NATS_CREDS": str(operator.creds())}
        options = ("--replicas", "3", "--nats-no-discovery", "--metrics", "127.0.0.1:0")
        return start_node({"orders.yaml": ORDERS}, *options, environment=environment)

    return node


def reasons(url: str) -> str:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as answer:
            return str(answer.read())
    except urllib.error.HTTPError as error:
        return str(error.read())


def test_a_killed_server_loses_nothing_that_was_accepted(start: Callable[[], Node], cluster: Cluster) -> None:
    node = start()
    with under_load(node.url("/orders")) as load:
        load.wait_for(200)
        cluster.servers[0].process.kill()
        load.wait_for(200)
        accepted = load.stop()
    node.delivers_all("orders.ndjson", accepted)
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def test_a_lame_duck_loses_nothing_that_was_accepted(start: Callable[[], Node], cluster: Cluster) -> None:
    node = start()
    with under_load(node.url("/orders")) as load:
        load.wait_for(200)
        cluster.servers[0].process.send_signal(signal.SIGUSR2)
        load.wait_for(200)
        cluster.servers[0].process.wait(60)
        load.wait_for(200)
        accepted = load.stop()
    node.delivers_all("orders.ndjson", accepted)
    rest = [one for one in node.said if one["kind"] not in {"in", "delivered", "stats"}]
    assert any("takes its place" in str(one) for one in rest), rest
    assert node.stop() == 0


def test_a_server_that_hangs_is_left_for_another_one_within_seconds(
    start: Callable[[], Node], cluster: Cluster
) -> None:
    node = start()
    hanging = cluster.servers[0].process
    with under_load(node.url("/orders")) as load:
        load.wait_for(200)
        hanging.send_signal(signal.SIGSTOP)
        try:
            node.hears("node", code="nats/timeout")
            load.wait_for(200)
            accepted = load.stop()
            node.delivers_all("orders.ndjson", accepted)
        finally:
            hanging.send_signal(signal.SIGCONT)
    assert node.stop() == 0


def test_streams_without_a_leader_make_a_node_unready_until_there_is_one(
    start_metered: Callable[[], Node], cluster: Cluster
) -> None:
    node = start_metered()
    url = base(node)
    assert status(f"{url}/readyz") == 200
    stopped = [one.process for one in cluster.servers[1:]]
    for one in stopped:
        one.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: "has no leader" in reasons(url), "the streams are named")
        assert status(f"{url}/livez") == 200
    finally:
        for one in stopped:
            one.send_signal(signal.SIGCONT)
    eventually(lambda: status(f"{url}/readyz") == 200, "most of the servers are back")
    node.still_works("/orders", "orders.ndjson")
    assert node.stop() == 0


def test_streams_have_the_replicas_asked_for_and_other_commands_find_them(
    start: Callable[[], Node], cluster: Cluster, operator: Operator, background: Background, vrsky: Vrsky
) -> None:
    node = start()
    node.accepts("/orders", b'{"n": "no number"}')
    node.hears("dead")
    creds = operator.creds()
    (nobody,) = free_ports(1)
    urls = f"nats://127.0.0.1:{nobody},{cluster.url}"
    letters = vrsky("dlq", "ls", "--json", "--nats", urls, "--nats-creds", creds)
    assert json.loads(letters.stdout)["code"] == "filter/wrong-type", letters.stderr
    checked = vrsky("check", "pipelines", "--nats", urls, "--nats-creds", creds)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    async def replicas() -> set[int | None]:
        async with connect(endpoint_of(cluster.url, access=Access(creds=creds))) as client:
            return {info.config.num_replicas for info in await client.jetstream(timeout=10).streams_info()}

    assert background(replicas()) == {3}
