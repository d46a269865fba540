"""`vrsky dlq redrive` as a user writes it; what it sends is tested with the control plane and end to end."""

from __future__ import annotations

import pytest

from .conftest import Vrsky


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the dead letters"),
        (["1", "--all"], "name the dead letters"),
        (["1", "--code", "http"], "name the dead letters"),
        (["0"], "not in the range"),
        (["--all"], "--yes sends without asking"),
        (["--all", "--rate", "0"], "not in the range"),
        (["--all", "--older-than", "1 week"], "write 90s, 15m, 1h or 7d"),
        (["--all", "--customer", "*"], "no name of a customer"),
    ],
)
def test_a_command_line_that_is_not_clear_sends_nothing(vrsky: Vrsky, words: list[str], said: str) -> None:
    done = vrsky("dlq", "redrive", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_folder_that_is_not_one_of_a_run_is_exit_code_3(vrsky: Vrsky) -> None:
    done = vrsky("dlq", "redrive", "--all", "--yes")
    assert (done.returncode, done.stdout) == (3, "")
    assert "config/data-folder-unusable" in done.stderr
