"""A decision on a message: the filter's own evaluator on the tape beside json.loads and Python."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xmltodict

from vrsky_fast import Filter

EXPRESSION = 'double(order.total) > 100.0 && order.country == "CH"'


def by_hand(data: bytes) -> bool:
    order = json.loads(data)["order"]
    return float(order["total"]) > 100.0 and order["country"] == "CH"


@pytest.mark.parametrize("matches", [Filter(EXPRESSION).matches, by_hand], ids=["native", "python"])
def test_filter(benchmark: Any, xml: bytes, matches: Any) -> None:
    benchmark.group = f"filter JSON, {len(xml)} bytes as XML"
    assert benchmark(matches, json.dumps(xmltodict.parse(xml)).encode()) is True
