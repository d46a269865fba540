"""Scalars are read by what the schema wants; numbers keep their digits."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrsky_fast.config.scalar import to_json
from vrsky_fast.config.source import Mark
from vrsky_fast.config.tree import Scalar

HERE = Mark(1, 1)
STRING = frozenset({"string"})
NUMBER = frozenset({"number"})


def read(text: str, wanted: frozenset[str] | None, style: str | None = None) -> str:
    return to_json(Scalar(text, HERE, HERE, style), wanted)


@pytest.mark.parametrize(
    "text", ["NO", "yes", "08", "1e3", "true", "null", "~", "0x1F", "2026-01-01", "1_000", "12:30"]
)
def test_a_string_stays_a_string_where_one_is_wanted(text: str) -> None:
    assert read(text, STRING) == json.dumps(text)


def test_an_empty_place_is_null_everywhere() -> None:
    assert read("", STRING) == "null"
    assert read("", None) == "null"
    assert read("", STRING, style="'") == '""'


@pytest.mark.parametrize(
    ("text", "json_text"),
    [
        ("12", "12"),
        ("-0", "-0"),
        ("+7", "7"),
        ("08", "8"),
        ("0o17", "15"),
        ("0x1F", "31"),
        ("1.50", "1.50"),
        ("1.", "1"),
        (".5", "0.5"),
        ("1e3", "1e3"),
        ("-1.5E-3", "-1.5e-3"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        (".inf", '".inf"'),
        (".", '"."'),
        ("e5", '"e5"'),
        ("1_000", '"1_000"'),
        ("٣", '"\\u0663"'),
    ],
)
def test_a_number_is_read_where_one_is_wanted(text: str, json_text: str) -> None:
    assert read(text, NUMBER) == json_text
    assert read(text, None) == json_text


def test_only_the_booleans_of_yaml_1_2_are_booleans() -> None:
    wanted = frozenset({"boolean"})
    assert [read(text, wanted) for text in ("true", "True", "FALSE")] == ["true", "true", "false"]
    assert [read(text, wanted) for text in ("yes", "on", "tRUE", "1")] == ['"yes"', '"on"', '"tRUE"', '"1"']


def test_null_is_read_only_where_null_is_allowed() -> None:
    assert read("null", frozenset({"string", "null"})) == "null"
    assert read("null", STRING) == '"null"'
    assert read("null", None) == "null"


def test_quotes_make_a_string_whatever_is_wanted() -> None:
    assert read("12", NUMBER, style='"') == '"12"'
    assert read("true", None, style="'") == '"true"'


@given(st.text(max_size=30), st.sampled_from([None, STRING, NUMBER, frozenset({"boolean", "null", "integer"})]))
def test_whatever_the_text_is_it_becomes_json(text: str, wanted: frozenset[str] | None) -> None:
    json.loads(read(text, wanted))


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str))
def test_decimals_keep_their_value(text: str) -> None:
    from decimal import Decimal

    assert Decimal(read(text, NUMBER)) == Decimal(text)
