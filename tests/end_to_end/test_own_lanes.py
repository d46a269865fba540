"""A customer that moves to lanes of its own and back while messages flow: none is lost, and each node has its part."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from vrsky_fast.control.buckets import NODES, put
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.nodes import NodeRecord, SettingsSeen

from ..conftest import post
from .load import under_load
from .node import Node, a_number, eventually
from .streams import subjects
from .test_configured import ORDERS as VERSIONED
from .test_configured import Deployment, states, version_of
from .test_settings import ORDERS, delivered, sets

ZETA = ORDERS.replace("customer: acme", "customer: zeta")
OWN, SHARED = "customers.acme.lanes=own", "customers.acme.lanes=shared"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.close()


def answers(node: Node, customer: str = "acme") -> tuple[int, str]:
    """Status and code of a message that is sent now, which counts as delivered where it is accepted."""
    status, answer = post(node.url("/orders", customer), b'{"n": %d}' % a_number(), "application/json")
    return status, answer.get("code", "")


def waits(deployment: Deployment, *given: str) -> list[str]:
    """Sets them, and waits until the move is over everywhere."""
    return states(deployment.says("settings", "set", *given, "--yes", "--wait", "60"))


def test_a_customer_moves_to_its_own_lanes_and_back_under_load_and_nothing_is_lost_or_doubled(
    deployment: Deployment,
) -> None:
    shared, own = deployment.node(), deployment.node("--customer", "acme")
    deployment.node("--type", "logic", "--type", "outgoing")
    nodes = deployment.nodes
    deployment.applies({"acme.yaml": ORDERS, "zeta.yaml": ZETA})
    assert answers(own)[0] == 404
    accepted: set[int] = set()
    with under_load(shared.url("/orders", "zeta"), 1) as zeta:
        with under_load(shared.url("/orders"), 1) as first, under_load(own.url("/orders"), 1) as second:
            first.wait_for(100)
            for given, load in ((OWN, second), (SHARED, first), (OWN, second)):
                assert waits(deployment, given) == ["applied"] * len(nodes)
                load.wait_for(100)
            accepted = first.stop() | second.stop()
        zeta.wait_for(100)
        of_zeta = zeta.stop()
    assert zeta.refused == []
    closed = {one for load in (first, second) for one in load.refused}
    assert closed <= {(503, "tenant/moving"), (404, "no Retry-After")}
    assert (503, "tenant/moving") in closed
    eventually(lambda: accepted <= delivered(nodes).keys(), "every accepted order is delivered")
    eventually(lambda: of_zeta <= {n for node in nodes for n in node.numbers("orders.ndjson", "zeta")}, "zeta's, too")
    assert answers(shared)[0] == 404
    assert all(node.stop() == 0 for node in nodes)
    assert delivered(nodes) == Counter(accepted)
    endpoint = endpoint_of(deployment.url())
    for kind in ("LOGIC", "OUTGOING"):
        for lane in ("0", "OWN_ACME"):
            assert asyncio.run(subjects(endpoint, f"VRSKY_{kind}_T10000_{lane}")) == {}


def test_what_waits_in_the_old_lanes_is_first_and_a_node_of_the_old_side_takes_it(deployment: Deployment) -> None:
    source = deployment.node("--type", "incoming")
    deployment.applies({"acme.yaml": ORDERS})
    before = [a_number() for _ in range(20)]
    for number in before:
        source.accepts("/orders", b'{"n": %d}' % number)
    own = deployment.node("--customer", "acme")
    report = deployment.says("settings", "set", OWN, "--yes", "--wait", "3", exits=3)
    assert "waiting" in states(report)
    assert answers(own) == (503, "tenant/moving")
    assert answers(source) == (503, "tenant/moving")
    eventually(lambda: any("wait in VRSKY_LOGIC_T10000_0" in str(one) for one in own.said), "it says what it waits for")
    rest = deployment.node("--type", "logic", "--type", "outgoing")
    after = a_number()
    eventually(lambda: answers(own)[0] == 202, "its ins open")
    own.accepts("/orders", b'{"n": %d}' % after)
    assert set(before) <= rest.numbers("orders.ndjson")
    own.delivers_all("orders.ndjson", {after})
    assert rest.numbers("orders.ndjson") == set(before)
    eventually(lambda: answers(source)[0] == 404, "shared nodes have left it out")
    # Each node finds the end of the move by itself.
    eventually(lambda: deployment.vrsky("status").returncode == 0, "every node has followed")
    status = deployment.says("status")
    assert {(one["customer"], tuple(one["left_out"])) for one in status["nodes"]} == {(None, ("acme",)), ("acme", ())}
    assert status["pipelines"][0]["nodes"]["applied"] == 1


def test_nodes_that_start_find_the_customer_where_it_is(deployment: Deployment) -> None:
    sets(deployment, OWN)
    own, shared = deployment.node("--customer", "acme"), deployment.node()
    report = deployment.applies({"acme.yaml": VERSIONED, "zeta.yaml": VERSIONED.replace("acme", "zeta")})
    assert states(report) == ["applied", "applied"]
    assert version_of(own) == 1
    assert (answers(shared)[0], answers(own, "zeta")[0]) == (404, 404)
    assert answers(shared, "zeta")[0] == 202
    changed = VERSIONED.replace("version: 1", "version: 2")
    assert states(deployment.applies({"acme.yaml": changed})) == ["applied"]
    assert version_of(own) == 2
    assert own.stop() == 0
    assert version_of(deployment.node("--customer", "acme", name="node-0")) == 2


def test_the_topology_changes_in_lanes_of_ones_own_as_well(deployment: Deployment) -> None:
    sets(deployment, OWN)
    own = deployment.node("incoming", "logic", "--customer", "acme")
    rest = deployment.node("outgoing", "--customer", "acme")
    deployment.applies({"acme.yaml": ORDERS})
    with under_load(own.url("/orders")) as load:
        for topology in ("split", "fused"):
            load.wait_for(100)
            assert states(sets(deployment, f"topology={topology}")) == ["applied", "applied"]
        load.wait_for(100)
        accepted = load.stop()
    rest.delivers_once("orders.ndjson", accepted)


def test_a_node_that_has_not_taken_the_settings_is_waited_for(deployment: Deployment) -> None:
    """Such as one of an older vrsky, which goes on taking the customer's messages into the shared lanes."""
    own = deployment.node("--customer", "acme")
    deployment.applies({"acme.yaml": ORDERS})

    async def older(settings: SettingsSeen | None) -> None:
        record = NodeRecord("older", ("incoming",), None, "0.0.9", "host", "now", settings=settings)
        async with connect(endpoint_of(deployment.url())) as client:
            await put(client, NODES, "older", record.encode(), {}, None)

    asyncio.run(older(None))
    sets(deployment, OWN, "--wait", "0")
    eventually(lambda: any("older has not taken the settings" in str(one) for one in own.said), "it says so")
    # Its record goes by itself when it says nothing more.
    eventually(lambda: answers(own)[0] == 202, "the ins open once it is gone")


def test_messages_of_its_lanes_that_nobody_reads_are_named(deployment: Deployment) -> None:
    sets(deployment, OWN)
    source = deployment.node("--customer", "acme", "--type", "incoming")
    deployment.applies({"acme.yaml": ORDERS})
    source.accepts("/orders", b'{"n": 5}')
    shown = deployment.vrsky("messages", "ls", "acme/orders", "--json")
    assert json.loads(shown.stdout.splitlines()[0])["place"] == "VRSKY_LOGIC_T10000_OWN_ACME:1", shown.stdout
    text = "wait in VRSKY_LOGIC_T10000_OWN_ACME, and no node reads it"
    eventually(lambda: any(text in str(one) for one in source.said), "a node says so", 120)


def test_its_nodes_need_no_permission_for_the_lanes_of_others(tmp_path: Path) -> None:
    own = ("vrsky.*.*.own", "vrsky.parked", "vrsky.dead", "vrsky.original", "vrsky.key", "vrsky.tapped")
    publish = [f"{one}.acme.>" for one in own]
    publish += ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.*.a.marker", "$KV.vrsky_nodes.>", "$SYS.REQ.USER.INFO"]
    permitted = json.dumps({"publish": publish, "subscribe": ["_INBOX.>", "vrsky.tap.>"]})
    users = (
        'authorization { users = [{user: nodes, password: "n"},'
        f' {{user: acme, password: "a", permissions: {permitted}}}] }}'
    )
    deployment = Deployment(tmp_path, users, "nodes:n")
    try:
        shared = deployment.node()
        node = deployment.node("--customer", "acme", "--nats", deployment.url("acme:a"))
        deployment.applies({"acme.yaml": ORDERS})
        assert waits(deployment, OWN) == ["applied", "applied"]
        number = a_number()
        node.accepts("/orders", b'{"n": %d}' % number, Idempotency_Key="once")
        node.delivers_all("orders.ndjson", {number})
        node.accepts("/orders", b'{"m": 1}')
        node.hears("dead")
        assert not [one for one in (*shared.said, *node.said) if "nats/authorization" in str(one)]
    finally:
        deployment.close()
