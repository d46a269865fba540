"""Tests of faults that are known and not yet repaired: each fails today, and fails CI once it passes.

    @known_fault("an HTTP out forgets its headers")
    def test_...(node: Node) -> None:
        letter = node.dead_letter(...)          # has to work today: a failure here is a failure
        with right_value() as soon:
            assert letter["headers"]["ce-type"] == "order"      # does not hold yet
            eventually(lambda: ..., "what never happens", soon)

Whoever repairs the fault takes `known_fault` away, and `right_value` with its short `soon`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# How long a test waits for what does not happen. Too short for a slow machine once it does.
SOON = 5.0


class WrongValue(AssertionError):
    """The fault itself, as opposed to a test that is broken."""


@contextmanager
def right_value() -> Iterator[float]:
    """What is asserted in this block is what the fault spoils."""
    try:
        yield SOON
    except AssertionError as error:
        raise WrongValue(str(error)) from error


def known_fault(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, raises=WrongValue, reason=reason)
