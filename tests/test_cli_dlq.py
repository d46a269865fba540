"""`vrsky dlq` as a user runs it; what it lists is tested with the control plane."""

from __future__ import annotations

import pytest

from .conftest import Vrsky


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "999999999999999999999"], "not in the range"),
        (["show", "0"], "not in the range"),
        (["show", "1", "--payload", "--json"], "--json has the payload as text"),
        (["rm", "0", "--yes"], "not in the range"),
        (["rm", "--yes"], "name the dead letters"),
        (["rm", "1", "--all", "--yes"], "name the dead letters"),
        (["rm", "--customer", "acme", "--all", "--yes"], "name the dead letters"),
        (["rm", "--pipeline", "orders", "--yes"], "name the dead letters"),
        (["rm", "--pipeline", "orders", "--all", "--yes"], "--pipeline goes with --customer"),
        (["rm", "--customer", "*", "--yes"], "config/invalid-name: '*' is no name of a customer"),
        (["rm", "--all"], "no terminal to ask on; --yes"),
    ],
)
def test_what_cannot_be_asked_of_dead_letters_is_exit_code_2(vrsky: Vrsky, arguments: list[str], said: str) -> None:
    done = vrsky("dlq", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
