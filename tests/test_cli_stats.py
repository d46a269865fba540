"""Totals and rates over pipelines of which only those are told that have changed."""

from __future__ import annotations

from vrsky_fast.cli.stats import Rates, Totals
from vrsky_fast.node.engine import Changes

from .test_cli_display import Clock, row


def test_rates_are_taken_over_a_second() -> None:
    clock = Clock()
    rates = Rates(clock)
    totals = {"received": 10}
    rates.update(totals)
    assert rates["received"] == 0
    clock.now += 2
    totals["received"] = 30
    rates.update(totals)
    assert rates["received"] == 15
    clock.now += 0.5
    totals["received"] = 900
    rates.update(totals)
    assert rates["received"] == 15


def test_totals_are_over_all_pipelines_also_those_that_were_removed() -> None:
    totals = Totals()
    totals.add(Changes([row("a", received=1), row("b", received=2, dead=1)], []))
    assert totals.now == {"received": 3, "dead": 1}
    totals.add(Changes([row("a", received=5)], []))
    assert totals.now == {"received": 7, "dead": 1}
    totals.add(Changes([], [("acme", "b")]))
    assert totals.now == {"received": 7, "dead": 1}
    totals.add(Changes([row("b", received=3, dead=0)], []))
    assert totals.now == {"received": 10, "dead": 1}


def test_a_pipeline_removed_and_installed_again_between_two_polls_counts_from_0() -> None:
    totals = Totals()
    totals.add(Changes([row(received=4, delivered=4)], []))
    totals.add(Changes([row(received=5, delivered=3)], []))
    assert totals.now == {"received": 9, "delivered": 7}
