"""Lanes and tiers as control work knows them are those of the node."""

from __future__ import annotations

import json
from pathlib import Path

from vrsky_fast import _native
from vrsky_fast.control import streams
from vrsky_fast.control.connection import connect
from vrsky_fast.control.lanes import Lanes
from vrsky_fast.control.provision import provision
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.facts import TIERS

from .conftest import Background, post
from .end_to_end.streams import frames

CUSTOMERS = ["a", "acme", "acme-eu", "zeta", "foobar", "customer-0", "c" * 40]


def test_the_node_puts_a_customers_messages_on_the_lane_that_is_found(
    background: Background, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Seven lanes, a prime, so that no bit of the hash is left out."""
    wanted = list(streams.topology(list(TIERS), 7))

    async def make() -> None:
        async with connect(endpoint) as client:
            await provision(client, wanted)

    background(make())
    nats = {"url": endpoint.url, "user": endpoint.user, "password": endpoint.password}
    config = {"nats": nats, "listen": "127.0.0.1:0", "lanes": 7, "tiers": list(TIERS), "types": ["incoming"]}
    node = _native.Node(json.dumps(config | {"files": str(tmp_path)}))
    for backlog, pipeline in ((1_000, "small"), (1_001, "large")):
        for customer in CUSTOMERS:
            source = {"http": {"path": f"/{pipeline}"}}
            file = {"customer": customer, "pipeline": pipeline, "in": source, "out": {"stdout": {}}}
            node.install(json.dumps(file | {"limits": {"backlog": backlog}}), {}, {})
    node.start()
    try:
        (address,) = node.addresses()
        for customer in CUSTOMERS:
            for pipeline in ("small", "large"):
                assert post(f"http://{address}/in/{customer}/{pipeline}", b"{}", "application/json")[0] == 202
    finally:
        node.drain(5.0)

    async def found() -> dict[str, str]:
        logic = [one.name for one in wanted if one.name.startswith("VRSKY_LOGIC")]
        async with connect(endpoint) as client:
            return {frame.subject: name for name in logic for frame in await frames(client, name)}

    lanes = Lanes.among(one.name for one in wanted)
    expected = {}
    for tier, pipeline in (("t1000", "small"), ("t10000", "large")):
        for customer in CUSTOMERS:
            lane = lanes.find("logic", tier, customer)
            assert lane is not None
            expected[f"{lane[1]}.{customer}.{pipeline}.in"] = lane[0]
    assert background(found()) == expected


def test_a_customer_with_lanes_of_its_own_has_its_messages_there() -> None:
    both = (streams.topology(list(TIERS), 1, customer=customer) for customer in (None, "acme"))
    names = [one.name for each in both for one in each]
    lanes = Lanes.among(names, {"acme"})
    assert lanes.find("logic", "t1000", "acme") == ("VRSKY_LOGIC_T1000_OWN_ACME", "vrsky.logic.t1000.own")
    assert lanes.find("outgoing", None, "acme") == ("VRSKY_OUTGOING_T1000_OWN_ACME", "vrsky.outgoing.t1000.own")
    assert lanes.find("logic", "t10000", "zeta") == ("VRSKY_LOGIC_T10000_0", "vrsky.logic.t10000.0")
    # Once it has come back, its streams may be there for long.
    assert Lanes.among(names).find("logic", "t1000", "acme") == ("VRSKY_LOGIC_T1000_0", "vrsky.logic.t1000.0")
