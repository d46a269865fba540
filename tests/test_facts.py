"""What Rust and Python both know is written down once, in Rust."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import vrsky_fast
from vrsky_fast import _native, facts
from vrsky_fast.config import load
from vrsky_fast.control import streams

PACKAGE = Path(vrsky_fast.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Names of one kind. Two of them in one collection are a list of that kind; `match` and single uses are not.
KINDS_OF_NAMES = {
    "node types": facts.NODE_TYPES,
    "tiers": tuple(facts.TIERS),
    "kinds of connectors": facts.KINDS_OF_OUTS,
}
NAMES = {name for name in vars(facts) if name.isupper() and not name.startswith("_")}
LANES = ("VRSKY_LOGIC", "VRSKY_CONVERTER", "VRSKY_FILTER", "VRSKY_OUTGOING")
STREAMS_AND_SUBJECTS = (*LANES, "VRSKY_PARKED", "VRSKY_KEYS", facts.DEAD, "vrsky.dead")
# `display` has a word for people for each counter that it shows, `json_log` a level for each event, named alike.
MAY_NAME_COUNTERS = {"cli/display.py", "cli/json_log.py"}


def texts(node: ast.AST) -> set[object]:
    """The texts that stand directly in a collection."""
    match node:
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            found = items
        case ast.Dict(keys=keys):
            found = [key for key in keys if key is not None]
        case _:
            return set()
    return {item.value for item in found if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def lists_of_its_own(name: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        for kind, names in KINDS_OF_NAMES.items():
            if len(texts(node) & set(names)) > 1:
                yield f"{name}:{node.lineno}: a list of {kind}"  # type: ignore[attr-defined]
        if len(texts(node) & set(facts.COUNTERS)) > 2 and name not in MAY_NAME_COUNTERS:
            yield f"{name}:{node.lineno}: a list of counters"  # type: ignore[attr-defined]
        if isinstance(node, ast.Constant) and str(node.value).startswith(STREAMS_AND_SUBJECTS):
            yield f"{name}:{node.lineno}: the name of a stream or subject"
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in NAMES and name != "facts.py":
            yield f"{name}:{node.lineno}: a second {node.id}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_keeps_a_list_that_rust_has(source: Path) -> None:
    found = list(lists_of_its_own(str(source.relative_to(PACKAGE)), source.read_text()))
    assert not found, "take these from vrsky_fast.facts"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('NODE_TYPES = ("incoming", "logic", "converter", "filter", "outgoing")', "node types"),
        ('TIERS = {"t1000": 1, "t10000": 2}', "tiers"),
        ('if kind in {"http", "file"}: ...', "kinds of connectors"),
        ('DEAD = "VRSKY_DEAD"', "stream or subject"),
        ('NAME = f"VRSKY_LOGIC_{tier}"', "stream or subject"),
        ("TIERS = load()", "a second TIERS"),
        ('RATES = ("received", "filtered", "delivered")', "counters"),
    ],
)
def test_a_list_of_ones_own_is_found(source: str, found: str) -> None:
    assert found in "; ".join(lists_of_its_own("x.py", source))
    assert not list(lists_of_its_own("x.py", 'kind == "http" or x["logic"]'))


def test_the_words_of_display_are_for_counters_that_there_are() -> None:
    from vrsky_fast.cli import display

    assert set(display._SHOWN) <= set(facts.COUNTERS)


def test_facts_are_the_engines() -> None:
    given = json.loads(_native.facts())
    assert tuple(given["node_types"]) == facts.NODE_TYPES
    fused, split = facts.TOPOLOGIES["fused"], facts.TOPOLOGIES["split"]
    assert facts.DEFAULTS.types == fused.node_types == ("incoming", "logic", "outgoing")
    assert split.node_types == ("incoming", "converter", "filter", "outgoing")
    assert {*fused.node_types, *split.node_types} == set(facts.NODE_TYPES)
    assert facts.STEP_LANES == {*fused.step_lanes, *split.step_lanes} == {"logic", "converter", "filter"}
    assert facts.SERVES_HTTP in facts.NODE_TYPES
    assert {f"{one.name}": one.cap for one in facts.STREAMS if one.lane == 0} == {
        f"VRSKY_{lane}_{tier}_0".upper(): cap
        for lane in ("logic", "converter", "filter", "outgoing")
        for tier, cap in facts.TIERS.items()
    }
    assert facts.DUPLICATE_WINDOW_SECONDS > facts.ACK_WAIT_SECONDS
    kinds = {one["kind"] for one in json.loads(_native.connectors()) if one["direction"] == "out"}
    assert set(facts.KINDS_OF_OUTS) == kinds


def test_the_topology_of_a_deployment_is_what_its_tiers_and_lanes_need() -> None:
    everything = {
        one.name
        for topology in facts.TOPOLOGIES
        for one in streams.topology(list(facts.TIERS), facts.MAX_LANES, name=topology)
    }
    assert everything == {one.name for one in facts.STREAMS}
    few = [one.name for one in streams.topology(["t10000"], 2)]
    assert few == [
        "VRSKY_LOGIC_T10000_0",
        "VRSKY_LOGIC_T10000_1",
        "VRSKY_OUTGOING_T10000_0",
        "VRSKY_OUTGOING_T10000_1",
        "VRSKY_DEAD",
        "VRSKY_PARKED",
        "VRSKY_KEYS",
    ]
    split = [one.name for one in streams.topology(["t1000"], 1, name="split")]
    assert split[:3] == ["VRSKY_CONVERTER_T1000_0", "VRSKY_FILTER_T1000_0", "VRSKY_OUTGOING_T1000_0"]
    left = [one.name for one in streams.left_behind(["t1000"], 1, "split")]
    assert left == ["VRSKY_LOGIC_T1000_0"]
    assert [one.name for one in streams.left_behind(["t1000"], 1, "fused")] == split[:2]


def test_the_lanes_of_a_customer_of_its_own_are_those_of_the_topology_and_share_no_subject() -> None:
    own = list(streams.topology(["t1000"], 2, name="split", customer="big-co"))
    assert [one.name for one in own][:2] == ["VRSKY_CONVERTER_T1000_OWN_BIG-CO", "VRSKY_FILTER_T1000_OWN_BIG-CO"]
    assert [one.name for one in own if one.consumer is None] == ["VRSKY_DEAD", "VRSKY_PARKED", "VRSKY_KEYS"]
    lane = next(streams.own_lanes("acme"))
    assert (lane.subject, lane.prefix) == ("vrsky.logic.t1000.own.acme.>", "vrsky.logic.t1000.own.")
    assert streams.within(lane, "acme", "orders") == "vrsky.logic.t1000.own.acme.orders.>"
    names = [one.name for one in streams.own_lanes("acme")]
    assert streams.own_lanes_among([*names, "VRSKY_LOGIC_T1000_0", "VRSKY_LOGIC_T1000_OWN_"]) == sorted(
        streams.own_lanes("acme"), key=lambda one: one.name
    )
    assert [one.name for one in streams.left_behind(["t1000"], 1, "split", "acme")] == names[:1]
    assert not {one.subject.split(".")[3] for one in facts.STREAMS if one.lane is not None} & {"own"}


@pytest.mark.parametrize("kind", facts.KINDS_OF_OUTS)
def test_a_kind_of_connector_is_no_name_of_an_out(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    head = "customer: acme\npipeline: orders\nin: {http: {path: /orders}}\n"
    sink = "{stdout: {}}"
    path.write_text(head + f"steps: [{{route: [{{to: [{kind}, x]}}]}}]\nout: {{{kind}: {sink}, x: {sink}}}\n")
    with pytest.raises(vrsky_fast.VrskyError):
        load(path)
    path.write_text(head + f"out: {{{kind}-1: {sink}}}\n")
    assert [out.name for out in load(path).summary.outs] == [f"{kind}-1"]
