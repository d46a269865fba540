"""`vrsky parked` as a user runs it, beside a node and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vrsky_fast.control import server_config

from .conftest import MINIMAL, Background, Running, Vrsky, post
from .end_to_end.node import eventually
from .end_to_end.servers import closed_port
from .end_to_end.streams import put

Start = Callable[..., Running]


def listed(vrsky: Vrsky, *words: str) -> list[dict[str, Any]]:
    done = vrsky("parked", "ls", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_set_aside_is_listed_and_discarded_while_it_runs_and_afterwards(
    start: Start, minimal: Path, vrsky: Vrsky, background: Background, tmp_path: Path
) -> None:
    run = start(minimal)
    run.ready()
    assert vrsky("parked", "ls").stderr == "nothing is set aside\n"
    recorded = server_config.recall(server_config.Layout(tmp_path / ".vrsky"))
    assert recorded is not None
    for subject in ("acme.orders.gone", "acme.orders.gone", "acme.gone._in", "zeta.orders.default"):
        background(put(recorded[1], f"vrsky.parked.{subject}", "{}", Vrsky_Time="1700000000000"))
    found = listed(vrsky)
    assert [(one["customer"], one["pipeline"], one["out"], one["messages"], one["served"]) for one in found] == [
        ("acme", "gone", "_in", 1, False),
        ("acme", "orders", "gone", 2, False),
        ("zeta", "orders", "default", 1, False),
    ]
    assert {one["oldest_came_ms"] for one in found} == {1_700_000_000_000}
    (line,) = vrsky("parked", "ls", "--customer", "acme", "--pipeline", "orders").stdout.splitlines()
    assert line.startswith("acme/orders  for out gone  2 messages  oldest came ")
    assert line.endswith("  not served")
    (line,) = vrsky("parked", "ls", "--out", "_in").stdout.splitlines()
    assert line.startswith("acme/gone  for its steps  1 message  oldest came ")
    gone = vrsky("parked", "discard", "--customer", "acme", "--pipeline", "orders", "--out", "gone", "--yes")
    assert (gone.returncode, gone.stdout) == (0, "deleted 2 messages\n"), gone.stderr
    assert run.stop() == 0
    # Whether anything is served is not known without a run.
    assert [(one["pipeline"], one["served"]) for one in listed(vrsky)] == [("gone", None), ("orders", None)]
    rest = vrsky("parked", "discard", "--all", "--yes", "--json")
    assert json.loads(rest.stdout) == {"deleted": 2, "in_hand": 0}
    assert listed(vrsky) == []


def test_what_waits_for_an_out_of_the_run_is_served(
    start: Start, write: Callable[[str, str], Path], vrsky: Vrsky
) -> None:
    away = f"http: {{url: 'http://127.0.0.1:{closed_port()}/', concurrency: 1}}"
    run = start(write("orders.yaml", MINIMAL.replace("file: {path: orders.ndjson}", away)))
    url = run.ready() + "/in/acme/orders"
    for _ in range(20):
        assert post(url, b"<order><total>150</total></order>")[0] == 202
    run.kind("parking")
    (one,) = eventually(lambda: listed(vrsky), "parked messages")
    assert (one["customer"], one["pipeline"], one["out"], one["served"]) == ("acme", "orders", "default", True)
    assert 0 < one["oldest_came_ms"] <= one["oldest_parked_ms"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["discard", "--yes"], "name the messages"),
        (["discard", "--customer", "acme", "--all", "--yes"], "name the messages"),
        (["discard", "--all", "--pipeline", "orders", "--yes"], "--pipeline goes with --customer"),
        (["discard", "--customer", "acme", "--out", "erp", "--yes"], "--out with --pipeline"),
        (["discard", "--customer", "*", "--yes"], "'*' is no name of a customer"),
        (["discard", "--all"], "there is no terminal to ask on; --yes deletes without asking"),
    ],
)
def test_a_command_line_that_is_not_clear_deletes_nothing(vrsky: Vrsky, words: list[str], said: str) -> None:
    done = vrsky("parked", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
