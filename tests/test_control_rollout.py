"""A rollout is over when every node that it concerns has taken it, refused it, or is gone."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from nats.aio.client import Client

from vrsky_fast.control.buckets import DELETED, NODES, Entry, make, put
from vrsky_fast.control.connection import connect
from vrsky_fast.control.nodes import MAX_REFUSED, Figures, NodeRecord, Refusal, bounded, decode, nodes
from vrsky_fast.control.rollout import state_of, wait
from vrsky_fast.control.server_config import Endpoint

from .conftest import Background

NODE = NodeRecord("one", ("logic",), None, "1.0", "host", "2026-01-01T00:00:00+00:00")
WRONG = Refusal("0" * 16, ({"code": "secret/not-found", "reason": "no"},), goes_on=True)


async def say(client: Client, record: NodeRecord) -> None:
    await put(client, NODES, record.id, record.encode(), {}, None)


def test_a_record_is_read_as_it_was_written() -> None:
    record = replace(NODE, customer="acme", seen=7, pipelines=3, refused={"acme.a": WRONG}, refused_total=1)
    record = replace(record, canaries={"acme.a": Figures("0" * 16, 5, 1, 95, 0)})
    assert decode(Entry("one", 1, record.encode(), 12.5, {})) == replace(record, heard=12.5)


def test_a_record_of_a_version_without_canaries_is_read() -> None:
    whole = json.loads(NODE.encode())
    del whole["canaries"]
    assert decode(Entry("one", 1, json.dumps(whole).encode(), 12.5, {})) == replace(NODE, heard=12.5)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"nothing", NODE.encode().replace(b'"seen":0', b'"seen":null')])
def test_what_is_no_record_is_no_node(value: bytes) -> None:
    assert decode(Entry("one", 1, value, 0.0, {})) is None


def test_a_record_has_a_bound_however_many_keys_are_refused() -> None:
    long = Refusal.of(None, [{"code": "x", "reason": "y" * 100_000}] * 100, goes_on=False)
    assert len(long.problems) == 3
    assert len(bounded({f"acme.p{number}": WRONG for number in range(10_000)})) == MAX_REFUSED
    many = bounded({f"acme.p{number}": long for number in range(10_000)})
    assert 0 < len(many) < MAX_REFUSED
    assert next(iter(many)) == "acme.p0"


def test_a_node_counts_only_keys_that_concern_it() -> None:
    node = replace(NODE, customer="acme", seen=5, refused={"acme.b": WRONG, "acme.c": WRONG})
    assert state_of(node, {"zeta.a": 9}, "") is None
    states = {seen: state_of(node, {"acme.a": seen, "zeta.a": 99}, "") for seen in (5, 6)}
    assert [one.state for one in states.values() if one] == ["applied", "waiting"]
    refused = state_of(node, {"acme.a": 3, "acme.b": 4}, "")
    assert refused is not None
    assert (refused.state, set(refused.refused)) == ("refused", {"acme.b"})
    elsewhere = state_of(node, {"acme.a": 1}, "another bucket")
    assert elsewhere is not None
    assert elsewhere.state == "waiting"
    gone = state_of(node, {"acme.a": 1}, "", is_alive=False)
    assert gone is not None
    assert gone.state == "missing"


def test_it_waits_for_the_last_node(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, NODES, None)
            await say(client, replace(NODE, seen=5))
            await say(client, replace(NODE, id="two", seen=4))
            waiting = asyncio.create_task(wait(client, {"acme.a": 5}, 30))
            await say(client, replace(NODE, id="two", seen=5, refused={"acme.a": WRONG}))
            states = await waiting
            assert [(one.node.id, one.state) for one in states] == [("one", "applied"), ("two", "refused")]

    background(scenario())


def test_a_node_that_ends_meanwhile_is_not_waited_for(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, NODES, None)
            await say(client, replace(NODE, seen=5))
            await say(client, replace(NODE, id="two"))
            waiting = asyncio.create_task(wait(client, {"acme.a": 5}, 30))
            await put(client, NODES, "two", b"", DELETED, None)
            assert [one.node.id for one in await waiting] == ["one"]

    background(scenario())


def test_a_node_that_falls_silent_is_missing_once_the_server_forgets_it(
    background: Background, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = replace(NODES, max_age=1.0)

    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, brief, None)
            await say(client, NODE)
            (state,) = await wait(client, {"acme.a": 5}, 30)
            assert state.state == "missing"
            assert await nodes(client) == []

    background(scenario(), 60)


def test_without_nodes_there_is_nothing_to_wait_for(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, NODES, None)
            assert await wait(client, {"acme.a": 5}, 30) == []

    background(scenario())


def test_who_has_not_come_so_far_when_time_is_up_is_waited_for_no_longer(
    background: Background, endpoint: Endpoint
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            await make(client, NODES, None)
            await say(client, NODE)
            (state,) = await wait(client, {"acme.a": 5}, 0.2)
            assert state.state == "waiting"

    background(scenario())
