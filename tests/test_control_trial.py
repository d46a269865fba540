"""What becomes of a canary, by what nodes say that it has run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vrsky_fast.config.share import Rule
from vrsky_fast.control.nodes import MAX_CANARIES, Figures, NodeRecord, Refusal, figures_of
from vrsky_fast.control.trial import Tally, decide, of_nodes, rate

KEY, NEW = "acme.orders", "a" * 16
NODE = NodeRecord("one", ("logic",), None, "1.0", "host", "2026-01-01T00:00:00+00:00", bucket="b", seen=7, heard=100.0)
RULE = Rule(abort_above=10_000, over=100, promote_after=600)


def record(node: str = "one", messages: int = 0, failed: int = 0, revision: str = NEW, **others: object) -> NodeRecord:
    figures = Figures(revision, messages, failed, 10 * messages, 0)
    return replace(NODE, id=node, canaries={KEY: figures}, **others)  # type: ignore[arg-type]


def figures(messages: int, failed: int) -> Figures:
    return Figures(NEW, messages, failed, 0, 0)


@pytest.mark.parametrize(
    ("messages", "failed", "seconds", "decision"),
    [
        (99, 99, 1, "wait"),
        (100, 1, 1, "wait"),
        (100, 2, 1, "abort"),
        (1_000, 11, 1, "abort"),
        (1_000, 10, 599, "wait"),
        (1_000, 10, 600, "promote"),
        (1_000, 11, 600, "abort"),
        (99, 0, 600, "undecided"),
    ],
)
def test_a_rate_above_the_rule_aborts_and_time_below_it_promotes(
    messages: int, failed: int, seconds: float, decision: str
) -> None:
    assert decide(RULE, figures(messages, failed), seconds, False)[0] == decision


def test_a_canary_that_a_node_refuses_is_aborted_by_a_rate_alone() -> None:
    assert decide(RULE, figures(0, 0), 1, True) == ("abort", "a node refuses it")
    assert decide(Rule(promote_after=600), figures(0, 0), 1, True)[0] == "wait"


def test_without_a_rate_time_alone_decides() -> None:
    assert [decide(Rule(promote_after=9), figures(0, 0), at, False)[0] for at in (8, 9)] == ["wait", "promote"]
    assert decide(Rule(abort_above=0), figures(10**6, 0), 10**6, False)[0] == "wait"


def test_a_node_that_has_died_takes_no_failures_along() -> None:
    tally = Tally(KEY, NEW)
    tally.take([record("one", 50, 5), record("two", 10, 1)], "b", 7)
    tally.take([record("two", 20, 2, heard=110.0)], "b", 7)
    assert tally.figures() == Figures(NEW, 70, 7, 700, 0)
    assert tally.clock == 110.0


def test_what_was_counted_for_another_value_is_not_counted() -> None:
    tally = Tally(KEY, NEW)
    others = [record("early", 1, seen=6), record("elsewhere", 1, bucket="c"), record("earlier", 1, revision="b" * 16)]
    tally.take([*others, NODE], "b", 7)
    assert tally.figures().messages == 0
    assert of_nodes(KEY, NEW, [*others, NODE]).messages == 2, "`status` shows what nodes run now"


def test_a_refusal_counts_as_long_as_a_node_that_lives_has_it() -> None:
    tally, refusal = Tally(KEY, NEW), Refusal(None, (), goes_on=True)
    tally.take([record("one", refused={KEY: refusal}), record("two")], "b", 7)
    assert tally.refused == refusal
    tally.take([record("two")], "b", 7)
    assert tally.refused is None


def test_a_record_has_a_bound_however_many_canaries_a_node_runs() -> None:
    runs = {"active": {"messages": 3, "failed": 0}, "canary": {"messages": 2, "failed": 1}}
    many = [{"customer": "acme", "pipeline": f"p{n}", "revision": NEW, "runs": runs} for n in range(MAX_CANARIES + 1)]
    found = figures_of(many)
    assert len(found) == MAX_CANARIES
    assert found["acme.p0"] == Figures(NEW, 2, 1, 3, 0)


def test_rates_are_shown_with_what_they_are_of() -> None:
    assert [rate(12, 240), rate(0, 0)] == ["12 of 240 failed (5 %)", "0 of 0 failed"]
