"""xml_to_json and json_to_xml as Python sees them; what they make is tested by their oracles."""

from __future__ import annotations

import json

import pytest

from vrsky_fast import Limits, VrskyError, XmlOptions, json_to_xml, xml_to_json
from vrsky_fast.errors import ConfigError, ConvertError, JsonError, XmlError

ORDER = b'<order id="7"><item>a</item><total>150</total></order>'


def test_both_ways() -> None:
    as_json = xml_to_json(ORDER)
    assert json.loads(as_json) == {"order": {"@id": "7", "item": "a", "total": "150"}}
    assert xml_to_json(json_to_xml(as_json)) == as_json


def test_options_choose_the_conventions() -> None:
    options = XmlOptions(
        attribute_prefix="-",
        arrays=["order.item"],
        numbers=("order.total",),
        booleans=[],
        text_key="$",
        namespaces="strip",
    )
    assert json.loads(xml_to_json(ORDER, options)) == {"order": {"-id": "7", "item": ["a"], "total": 150}}
    assert b'id="7"' in json_to_xml(b'{"order":{"-id":"7"}}', options)
    assert (options.attribute_prefix, options.text_key, options.namespaces) == ("-", "$", "strip")
    assert (options.arrays, options.numbers, options.booleans) == (("order.item",), ("order.total",), ())


def test_options_for_xml_of_schemas() -> None:
    options = XmlOptions(doctype="ignore", number_format="xml_schema", trim=False, nil="null", numbers=["a.n"])
    data = b"""<!DOCTYPE a SYSTEM "a.dtd">
        <a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><n> +.50 </n><t> x </t><e i:nil="true"/></a>"""
    value = json.loads(xml_to_json(data, options))["a"]
    assert (value["n"], value["t"], value["e"]) == (0.5, " x ", None)
    assert (options.doctype, options.number_format, options.trim, options.nil) == (
        "ignore",
        "xml_schema",
        False,
        "null",
    )
    assert eval(repr(options)) == options
    default = XmlOptions()
    assert (default.doctype, default.number_format, default.trim, default.nil) == ("refuse", "json", True, "keep")
    for other in ({"doctype": "ignore"}, {"number_format": "xml_schema"}, {"trim": False}, {"nil": "null"}):
        assert XmlOptions(**other) != default


def test_encodings_are_those_that_the_document_says() -> None:
    for data in [
        "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".encode("latin-1"),
        "<?xml version='1.0' encoding='windows-1252'?><a>é</a>".encode("windows-1252"),
        "<a>é</a>".encode("utf-16"),
    ]:
        assert json.loads(xml_to_json(data)) == {"a": "é"}


def test_options_are_values() -> None:
    assert XmlOptions(numbers=["a.b"]) == XmlOptions(numbers=("a.b",))
    assert hash(XmlOptions()) == hash(XmlOptions())
    assert XmlOptions() != XmlOptions(attribute_prefix="-")
    assert XmlOptions() != "XmlOptions"
    with pytest.raises(AttributeError):
        XmlOptions().text_key = "x"  # type: ignore[misc]


def test_bad_options_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        XmlOptions(numbers=["a", "b["])
    assert (caught.value.code, caught.value.pointer) == ("config/invalid-path", "/numbers/1")
    with pytest.raises(TypeError):
        XmlOptions(numbers="order.total")
    with pytest.raises(ValueError, match='namespaces is "keep" or "strip"'):
        XmlOptions(namespaces="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='doctype is "refuse" or "ignore"'):
        XmlOptions(doctype="load")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='number_format is "json" or "xml_schema"'):
        XmlOptions(number_format="lenient")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='nil is "keep" or "null"'):
        XmlOptions(nil="NULL")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [bytearray(ORDER), memoryview(ORDER), memoryview(ORDER + ORDER)[: len(ORDER)], memoryview(ORDER[::-1])[::-1]],
    ids=["bytearray", "memoryview", "slice", "strided"],
)
def test_any_buffer_is_read(data: bytearray | memoryview) -> None:
    assert xml_to_json(data) == xml_to_json(ORDER)


@pytest.mark.parametrize("function", [xml_to_json, json_to_xml])
def test_text_is_refused(function: object) -> None:
    with pytest.raises(TypeError, match="expected bytes, not str"):
        function("<a/>")  # type: ignore[operator]
    with pytest.raises(TypeError):
        function(7)  # type: ignore[operator]
    with pytest.raises(TypeError):
        function(None)  # type: ignore[operator]


def test_errors_name_class_code_and_place() -> None:
    with pytest.raises(XmlError) as xml:
        xml_to_json(b"<a><b></a>")
    assert xml.value.code == "xml/not-well-formed"
    assert xml.value.place is not None
    assert isinstance(xml.value.place.offset, int)
    with pytest.raises(JsonError) as syntax:
        json_to_xml(b'{"a": }')
    assert (syntax.value.code, syntax.value.place and syntax.value.place.offset) == ("json/syntax", 6)
    with pytest.raises(ConvertError) as convert:
        json_to_xml(b"[1]")
    assert convert.value.code == "convert/no-single-root"
    with pytest.raises(VrskyError, match="xml/too-deep"):
        xml_to_json(b"<a>" * 10_000)


def test_limits_are_values_within_bounds() -> None:
    limits = Limits(cpu_ms=7, fuel=9)
    assert (limits.cpu_ms, limits.fuel, limits.depth) == (7, 9, 256)
    assert limits == Limits(fuel=9, cpu_ms=7)
    assert len({limits, Limits(fuel=9, cpu_ms=7), Limits()}) == 2
    with pytest.raises(ConfigError) as caught:
        Limits(cpu_ms=0)
    assert (caught.value.code, caught.value.pointer) == ("config/invalid-value", "/script/cpu_ms")
    with pytest.raises(OverflowError):
        Limits(depth=-1)
    assert repr(Limits()).startswith("Limits(cpu_ms=5, memory_mb=32, ")
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[misc]
