"""XML to JSON and back: the native scanner beside xmltodict. Both results are compared first."""

from __future__ import annotations

import json
from typing import Any

import pytest
import xmltodict

from vrsky_fast import json_to_xml, xml_to_json

Benchmark = Any


def by_hand(data: bytes) -> bytes:
    return json.dumps(xmltodict.parse(data), ensure_ascii=False, separators=(",", ":")).encode()


def back_by_hand(data: bytes) -> bytes:
    return str(xmltodict.unparse(json.loads(data))).encode()


@pytest.mark.parametrize("convert", [xml_to_json, by_hand], ids=["native", "xmltodict"])
def test_xml_to_json(benchmark: Benchmark, xml: bytes, convert: Any) -> None:
    benchmark.group = f"xml to json, {len(xml)} bytes"
    assert json.loads(benchmark(convert, xml)) == xmltodict.parse(xml)


@pytest.mark.parametrize("convert", [json_to_xml, back_by_hand], ids=["native", "xmltodict"])
def test_json_to_xml(benchmark: Benchmark, xml: bytes, convert: Any) -> None:
    benchmark.group = f"json to xml, {len(xml)} bytes"
    assert xmltodict.parse(benchmark(convert, by_hand(xml))) == xmltodict.parse(xml)
