"""All steps of one message in one call: a compiled pipeline beside the same in Python."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xmltodict

from vrsky_fast import Message, Pipeline

PIPELINE = {
    "customer": "acme",
    "pipeline": "orders",
    "in": {"nats": {"subject": "in"}},
    "steps": [
        {"convert": {"from": "xml", "numbers": ["order.total"]}},
        {"filter": 'order.total > 100.0 && order.country == "CH"'},
        {"set": {"order.net": "order.total / 1.077"}},
    ],
    "out": {"nats": {"subject": "out"}},
}
COMPILED = Pipeline.from_json(json.dumps(PIPELINE), {})
BATCH = 64


def native(batch: list[Message]) -> list[bytes]:
    return [output.payload for result in COMPILED.process(batch) for output in result.outputs]


def by_hand(batch: list[Message]) -> list[bytes]:
    passed = []
    for message in batch:
        document = xmltodict.parse(message.payload)
        order = document["order"]
        order["total"] = float(order["total"])
        if order["total"] > 100.0 and order["country"] == "CH":
            order["net"] = order["total"] / 1.077
            passed.append(json.dumps(document, ensure_ascii=False).encode())
    return passed


@pytest.mark.parametrize("process", [native, by_hand], ids=["native", "python"])
def test_pipeline(benchmark: Any, xml: bytes, process: Any) -> None:
    benchmark.group = f"a batch of {BATCH}, {len(xml)} bytes each"
    outputs = benchmark(process, [Message(payload=xml)] * BATCH)
    assert [json.loads(one) for one in outputs] == [json.loads(by_hand([Message(payload=xml)])[0])] * BATCH
