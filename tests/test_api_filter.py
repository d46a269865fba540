"""Filter as Python sees it; the language is tested in the expression crate."""

from __future__ import annotations

import pytest

from vrsky_fast import Filter, XmlOptions
from vrsky_fast.errors import ConfigError, FilterError, JsonError, XmlError


def test_it_looks_at_the_payload() -> None:
    wanted = Filter('order.country == "CH"')
    assert wanted.matches(b"<order><country>CH</country></order>") is True
    assert wanted.matches(b' {"order": {"country": "DE"}}') is False
    assert wanted.matches(bytearray(b'{"order": {"country": "CH"}}')) is True
    assert wanted.expression == 'order.country == "CH"'


def test_declared_numbers_of_xml_compare() -> None:
    wanted = Filter("order.total > 100.0", format="xml", xml=XmlOptions(numbers=["order.total"]))
    assert wanted.matches(b"<order><total>100.5</total></order>")
    assert not wanted.matches(b"<order><total>99</total></order>")


def test_a_missing_field_raises() -> None:
    with pytest.raises(FilterError) as caught:
        Filter("order.total > 1").matches(b'{"order": {}}')
    assert caught.value.code == "filter/missing-field"
    assert caught.value.place is not None
    assert caught.value.place.field == "order.total"


def test_a_format_is_a_demand() -> None:
    with pytest.raises(JsonError):
        Filter("true", format="json").matches(b"<a/>")
    with pytest.raises(XmlError):
        Filter("true", format="xml").matches(b"{}")
    with pytest.raises(ValueError, match="auto"):
        Filter("true", format="yaml")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected bytes"):
        Filter("true").matches("{}")  # type: ignore[arg-type]


def test_a_bad_expression_names_the_column() -> None:
    with pytest.raises(ConfigError) as caught:
        Filter("order.total >")
    assert caught.value.code == "config/invalid-expression"
    assert caught.value.column is not None
    with pytest.raises(ConfigError, match="config/expression-too-large"):
        Filter(" + ".join(["1"] * 20_000))
