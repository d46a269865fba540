"""Settings of a deployment that change while messages flow: nodes follow them, and every message is accounted for."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control.buckets import DEPLOYMENT, put
from vrsky_fast.control.connection import connect, endpoint_of
from vrsky_fast.control.deployment import KEY

from .load import under_load
from .node import Node, eventually
from .streams import subjects
from .test_configured import Deployment, states

# Four runs of steps where they are cut: filter, converter, filter, converter.
ORDERS = """\
customer: acme
pipeline: orders
in: {http: {path: /orders}}
steps:
  - filter: n > 0
  - script: {language: js, code: "export default (msg) => { msg.seen = true; return msg; }"}
  - filter: seen
  - set: {twice: n * 2}
out: {file: {path: orders.ndjson}}
limits: {backlog: 10000}
"""


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.close()


def delivered(nodes: list[Node]) -> Counter[int]:
    """How often each number was, by whichever node."""
    lines = [line for node in nodes for line in node.lines("orders.ndjson")]
    assert all((line["seen"], line["twice"]) == (True, 2 * line["n"]) for line in lines)
    return Counter(line["n"] for line in lines)


def sets(deployment: Deployment, *given: str, exits: int = 0) -> dict[str, Any]:
    return deployment.says("settings", "set", *given, "--yes", exits=exits)


def topologies(deployment: Deployment) -> list[tuple[str, list[str]]]:
    return sorted((one["topology"], one["types"]) for one in deployment.says("status")["nodes"])


@pytest.mark.parametrize(
    "types",
    [
        [(), ()],
        [("--type", "incoming"), ("--type", "logic"), ("--type", "outgoing"), ("--type", "filter")],
    ],
    ids=["whole", "by type"],
)
def test_the_topology_changes_under_load_and_no_message_is_lost_or_doubled(
    deployment: Deployment, types: list[tuple[str, ...]]
) -> None:
    nodes = [deployment.node(*one) for one in types]
    deployment.applies({"orders.yaml": ORDERS})
    with under_load(nodes[0].url("/orders")) as load:
        for topology in ("split", "fused", "split"):
            load.wait_for(150)
            report = sets(deployment, f"topology={topology}")
            assert states(report) == ["applied"] * len(nodes)
            assert {one for one, _ in topologies(deployment)} == {topology}
        load.wait_for(150)
        accepted = load.stop()
    assert load.refused == []
    eventually(lambda: accepted <= delivered(nodes).keys(), "every accepted order is delivered")
    assert all(node.stop() == 0 for node in nodes)
    assert delivered(nodes) == Counter(accepted)
    endpoint = endpoint_of(deployment.url())
    for kind in ("LOGIC", "CONVERTER", "FILTER", "OUTGOING"):
        assert asyncio.run(subjects(endpoint, f"VRSKY_{kind}_T10000_0")) == {}


def test_a_node_starts_with_the_topology_that_is_set(deployment: Deployment) -> None:
    assert sets(deployment, "topology=split")["nodes"] == []
    node, other = deployment.node(), deployment.node("--type", "logic")
    node.hears("ready")
    assert topologies(deployment) == [
        ("split", ["converter", "filter"]),
        ("split", ["incoming", "converter", "filter", "outgoing"]),
    ]
    shown = deployment.vrsky("status")
    assert shown.returncode == 0, shown.stdout
    assert "topology=split" in shown.stdout
    unset = deployment.says("settings", "unset", "topology", "--yes")
    assert (unset["settings"], states(unset)) == ({}, ["applied", "applied"])
    assert topologies(deployment) == [("fused", ["incoming", "logic", "outgoing"]), ("fused", ["logic"])]
    other.assert_alive()


def test_a_node_that_was_given_another_topology_goes_on_and_everybody_hears_of_it(deployment: Deployment) -> None:
    deployment.node("--topology", "fused")
    deployment.node()
    report = sets(deployment, "topology=split", exits=1)
    assert sorted(states(report)) == ["applied", "refused"]
    (refused,) = [one["refused"]["settings"] for one in report["nodes"] if one["refused"]]
    assert [one["code"] for one in refused["problems"]] == ["config/other-topology"]
    eventually(lambda: any("--topology fused" in str(one) for one in deployment.nodes[0].said), "the node says so")
    shown = deployment.vrsky("status")
    assert shown.returncode == 1
    assert "followed by 1 of 2 nodes" in shown.stdout
    assert "config/other-topology" in shown.stdout
    assert states(sets(deployment, "topology=fused")) == ["applied", "applied"]


def test_a_value_written_by_hand_that_is_none_leaves_the_last_good_one(deployment: Deployment) -> None:
    node = deployment.node()
    deployment.applies({"orders.yaml": ORDERS})
    sets(deployment, "topology=split")

    async def by_hand() -> int:
        async with connect(endpoint_of(deployment.url())) as client:
            return await put(client, DEPLOYMENT, KEY, b'{"topology": "spilt"}', {}, None)

    sequence = asyncio.run(by_hand())
    eventually(lambda: any("config/not-settings" in str(one) for one in node.said), "the node says so")
    shown = deployment.says("settings", "show", exits=1)
    assert (shown["in_force"], shown["now"]["sequence"]) == ({"topology": "split"}, sequence)
    assert shown["now"]["problems"][0]["pointer"] == "/topology"
    status = deployment.says("status", exits=1)
    assert status["settings"]["nodes"][0]["refused"]["settings"]["problems"][0]["code"] == "config/not-settings"
    assert status["nodes"][0]["topology"] == "split"
    assert node.accepts("/orders", b'{"n": 7}')
    eventually(lambda: delivered([node])[7] == 1, "messages go on")
    history = deployment.says("settings", "history")["versions"]
    assert [one["settings"] for one in history] == [None, {"topology": "split"}]
    assert states(sets(deployment, "topology=split")) == ["applied"]
    assert deployment.says("settings", "show")["now"]["problems"] == []


def test_of_many_writers_at_once_one_is_first_and_the_others_hear_who(deployment: Deployment) -> None:
    node = deployment.node()
    sets(deployment, "topology=split")

    def one(number: int) -> tuple[int, str]:
        wanted = f"topology={('fused', 'split')[number % 2]}"
        done = deployment.vrsky("settings", "set", wanted, "--yes", "--note", f"writer {number}", "--json")
        return done.returncode, done.stdout

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, range(4)))
    refused = [json.loads(out)["problems"][0] for code, out in results if code == 1]
    assert {each["code"] for each in refused} <= {"config/changed-meanwhile"}
    assert all("writer" in each["reason"] for each in refused)
    assert sum(code == 0 for code, _ in results) + len(refused) == 4
    history = deployment.says("settings", "history")["versions"]
    shown = deployment.says("settings", "show")
    assert shown["now"] == history[0]
    eventually(lambda: topologies(deployment)[0][0] == shown["in_force"]["topology"], "the node follows the last")
    node.assert_alive()


def test_what_is_no_setting_is_refused_before_anything_is_written(deployment: Deployment) -> None:
    refused = sets(deployment, "topology=both", exits=1)
    assert [one["code"] for one in refused["problems"]] == ["config/not-settings"]
    assert deployment.vrsky("settings", "set", "topology", "--yes").returncode == 2
    assert deployment.vrsky("settings", "set", "topology=split").returncode == 2
    assert deployment.says("settings", "history")["versions"] == []
    assert json.loads(deployment.vrsky("settings", "schema").stdout)["properties"].keys() >= {"topology"}
