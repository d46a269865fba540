"""The customer's step: JavaScript in the sandbox beside the same step as plain Python, unlimited."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xmltodict

from vrsky_fast import Message, Script

SCRIPT = Script("export default (msg) => { msg.order.net = msg.order.total / 1.077; return msg }", language="js")


def native(data: bytes) -> bytes:
    (output,) = SCRIPT.run(Message(payload=data))
    return output.payload


def by_hand(data: bytes) -> bytes:
    message = json.loads(data)
    message["order"]["net"] = message["order"]["total"] / 1.077
    return json.dumps(message).encode()


@pytest.mark.parametrize("run", [native, by_hand], ids=["sandbox", "python"])
def test_script(benchmark: Any, xml: bytes, run: Any) -> None:
    benchmark.group = f"script, {len(xml)} bytes as XML"
    document = xmltodict.parse(xml)
    document["order"]["total"] = float(document["order"]["total"])
    result = json.loads(benchmark(run, json.dumps(document).encode()))
    assert result["order"]["net"] == document["order"]["total"] / 1.077
