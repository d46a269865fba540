"""`vrsky test` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import MINIMAL, MINIMAL_TESTS, ROOT, Vrsky, Write

ORDERS = ROOT / "examples" / "orders"


def test_test_runs_the_tests_of_a_file(vrsky: Vrsky, write: Write) -> None:
    write("orders.yaml", MINIMAL + MINIMAL_TESTS)
    done = vrsky("test", "orders.yaml")
    assert done.returncode == 0, done.stderr
    assert "3 passed, 0 failed" in done.stdout
    assert "1 passed, 0 failed" in vrsky("test", "orders.yaml", "--only", "small").stdout


def test_only_tests_that_there_are_can_be_picked(vrsky: Vrsky, write: Write, minimal: Path) -> None:
    write("tested.yaml", MINIMAL + MINIMAL_TESTS)
    done = vrsky("test", "tested.yaml", "--only", "nope")
    assert done.returncode == 2
    for shown in ("'nope'", "a large one passes", "a small one is dropped", "one without a total fails"):
        assert shown in done.stderr
    assert "0 passed" not in done.stdout
    assert vrsky("test", minimal, "--only", "nope").returncode == 2
    assert vrsky("test", minimal).returncode == 0


def test_a_failed_test_shows_expected_and_actual(vrsky: Vrsky, write: Write) -> None:
    write(
        "orders.yaml",
        MINIMAL + MINIMAL_TESTS.replace("{total: 150}", "{total: 151, tax: 1}").replace("missing-field", "wrong-type"),
    )
    done = vrsky("test", "orders.yaml")
    assert done.returncode == 1
    assert "1 passed, 2 failed" in done.stdout
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("out default: order.total")
    assert lines[at + 1 : at + 3] == ["expected 151", "got      150"]
    assert "expected the error filter/wrong-type, got the error filter/missing-field" in done.stdout
    report = json.loads(vrsky("test", "orders.yaml", "--json").stdout)
    assert (report["ok"], report["passed"], report["failed"]) == (False, 1, 2)


def test_the_examples_tests_pass(vrsky: Vrsky) -> None:
    done = vrsky("test", ORDERS)
    assert done.returncode == 0, done.stderr
    assert "5 passed, 0 failed" in done.stdout
