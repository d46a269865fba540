"""Expected against actual: what counts as different, and how it reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrsky_fast.cli.compare import differences, laid_out, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def diff(expected: str, actual: str, *, subset: bool = False) -> list[tuple[str, str, str]]:
    found = differences(parse(expected), parse(actual), subset=subset)
    return [(one.path, *one.shown()) for one in found]


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        ('{"a": 1}', '{"a": 1.0}', []),
        ('{"a": 149.9}', '{"a": 149.90}', []),
        ('{"a": 1}', '{"a": "1"}', [("a", "1", '"1"')]),
        ('{"a": 1}', '{"a": true}', [("a", "1", "true")]),
        ('{"a": null}', "{}", [("a", "null", "nothing")]),
        ("{}", '{"a": {"b": 1}}', [("a", "nothing", '{"b": 1}')]),
        ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3, 4]}}', [("a.b[1]", "2", "3"), ("a.b[2]", "nothing", "4")]),
        ("1234567890123456789.1", "1234567890123456789.2", [("", "1234567890123456789.1", "1234567890123456789.2")]),
        ("[]", "{}", [("", "[]", "{}")]),
        # A name may hold what joins names in a path.
        ('{"a.b": 1, "a": {"b": 1}}', '{"a.b": 2, "a": {"b": 1}}', [('["a.b"]', "1", "2")]),
        ('{"": 1}', '{"": 2}', [('[""]', "1", "2")]),
        (
            '{"a": {"@id": 1, "[0]": [1]}}',
            '{"a": {"[0]": [2]}}',
            [('a["@id"]', "1", "nothing"), ('a["[0]"][0]', "1", "2")],
        ),
    ],
)
def test_what_is_different_is_named_by_its_path(expected: str, actual: str, found: list[tuple[str, str, str]]) -> None:
    assert diff(expected, actual) == found


def test_a_subset_may_have_more_members_but_not_more_items() -> None:
    assert diff('{"a": {"b": 1}}', '{"a": {"b": 1, "c": 2}, "d": 3}', subset=True) == []
    assert diff('{"a": [1]}', '{"a": [1, 2]}', subset=True) == [("a[1]", "nothing", "2")]


def test_long_values_are_cut_around_the_first_place_where_they_differ() -> None:
    ((_, expected, actual),) = diff(json.dumps("x" * 1000), json.dumps("y" * 1000))
    assert (len(expected), expected[:2], expected[-3:], actual[:2]) == (203, '"x', "...", '"y')
    ((_, expected, actual),) = diff(json.dumps("x" * 1000 + "end" + "z" * 1000), json.dumps("x" * 1000 + "END"))
    assert (expected[:5], expected[-3:]) == ("...xx", "...")
    assert ("xendz" in expected, actual[-5:]) == (True, 'xEND"')
    ((_, expected, actual),) = diff(json.dumps("x" * 1000 + "y"), json.dumps("x" * 1000))
    assert (expected[-3:], actual[-3:]) == ('xy"', 'xx"')


@given(JSON)
def test_a_value_equals_itself_and_reads_back(value: object) -> None:
    text = json.dumps(value)
    assert list(differences(parse(text), parse(text), subset=False)) == []
    for indent in (None, 2):
        assert parse(laid_out(parse(text), indent)) == parse(text)
