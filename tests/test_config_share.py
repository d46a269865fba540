"""A share of messages, and what decides on a canary."""

from __future__ import annotations

import pytest

from vrsky_fast.config.share import Rule, percent


def test_a_rule_is_read_as_it_was_written() -> None:
    for rule in (Rule(), Rule(0, 1, None), Rule(10_000, 500, 600)):
        assert Rule.read(rule.as_json()) == rule
    assert [one.decides for one in (Rule(), Rule(0), Rule(promote_after=1))] == [False, True, True]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"abort_above": None, "over": None, "promote_after": None},
        {"abort_above": -1, "over": 1, "promote_after": None},
        {"abort_above": True, "over": 1, "promote_after": None},
        {"abort_above": "1%", "over": 1, "promote_after": None},
        {"abort_above": 1, "over": 1, "promote_after": None, "more": 1},
    ],
)
def test_what_is_no_rule_is_none(value: object) -> None:
    assert Rule.read(value) is None


def test_shares_are_shown_in_percent() -> None:
    assert [percent(one) for one in (50_000, 1, 1_000_000, 12_345)] == ["5 %", "0.0001 %", "100 %", "1.2345 %"]
