"""Watching a pipeline: what is asked of nodes, and what is said when none answers. A test plays the node."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from nats.aio.msg import Msg

from vrsky_fast.control import tap
from vrsky_fast.control.connection import connect
from vrsky_fast.control.server_config import Endpoint
from vrsky_fast.control.tap import Record, Wanted
from vrsky_fast.errors import ConfigError, TenantError

from .conftest import Background


def test_a_request_is_answered_and_the_last_one_stops(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = []
        async with connect(endpoint) as client, connect(endpoint) as node:

            async def answer(request: Msg) -> None:
                requests.append(json.loads(request.data))
                subject = f"vrsky.tapped.acme.orders.{requests[-1]['token']}"
                for data in (b"odd", b"[]\n", b'{"kind":"hello"}\n', b'{"kind":"in","bytes":9,"dropped":3}\n\xff\n'):
                    await node.publish(subject, data)

            await node.subscribe("vrsky.tap.acme.orders", cb=answer)
            await node.flush()
            async with aclosing(tap.watch(client, Wanted("acme", "orders", "1:filter", sample=100))) as records:
                assert [(await anext(records)).kind for _ in range(1)] == ["hello"]
                record = await anext(records)
                assert record == Record("in", {"kind": "in", "bytes": 9, "dropped": 3}, b"\xff\n")
                assert (record.dropped, record.is_cut) == (3, True)
            while len(requests) < 2:
                await asyncio.sleep(0)
        return requests

    first, last = background(scenario())
    assert (first["step"], first["sample"], first["failed"], first["stop"]) == ("1:filter", 100, False, False)
    assert (last["stop"], last["token"]) == (True, first["token"])
    assert len(first["token"]) == 32


def test_a_pipeline_that_nobody_runs_is_said(background: Background, endpoint: Endpoint) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            with pytest.raises(TenantError, match="no node that runs acme/orders answers"):
                await anext(tap.watch(client, Wanted("acme", "orders")))

    background(scenario())


@pytest.mark.parametrize(("customer", "pipeline"), [("*", "orders"), ("acme", ">"), ("", "orders"), ("acme", "")])
def test_a_name_that_is_none_is_refused_before_anything_is_asked(
    background: Background, endpoint: Endpoint, customer: str, pipeline: str
) -> None:
    async def scenario() -> None:
        async with connect(endpoint) as client:
            with pytest.raises(ConfigError, match="is no name"):
                await anext(tap.watch(client, Wanted(customer, pipeline)))

    background(scenario())
