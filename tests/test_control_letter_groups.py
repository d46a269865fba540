"""Dead letters by what they have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from vrsky_fast.control.dead_letters import DeadLetter
from vrsky_fast.control.letter_groups import Group, grouped

HOUR_MS = 3_600_000


def letter(sequence: int, customer: str, code: str, died_ms: int) -> DeadLetter:
    headers = {"Vrsky-Code": code, "Vrsky-Died": str(died_ms)}
    return DeadLetter(sequence, customer, "orders", "in", headers)


LETTERS = [
    letter(1, "acme", "http/connect", 2 * HOUR_MS),
    letter(2, "zeta", "http/connect", HOUR_MS + 1),
    letter(3, "acme", "xml/not-well-formed", HOUR_MS),
    letter(5, "acme", "http/connect", HOUR_MS + 5),
    letter(7, "acme", "http/connect", 0),
]


def by(*keys: str) -> list[Group]:
    async def letters() -> AsyncIterator[DeadLetter]:
        for one in LETTERS:
            yield one

    return asyncio.run(grouped(letters(), keys))


def test_the_largest_group_is_first_and_names_its_newest_letter() -> None:
    assert by("customer", "code") == [
        Group(("acme", "http/connect"), 3, first_died_ms=HOUR_MS + 5, last_died_ms=2 * HOUR_MS, newest=7),
        Group(("acme", "xml/not-well-formed"), 1, HOUR_MS, HOUR_MS, 3),
        Group(("zeta", "http/connect"), 1, HOUR_MS + 1, HOUR_MS + 1, 2),
    ]


def test_hours_are_in_their_order() -> None:
    found = [(one.values, one.count) for one in by("hour")]
    assert found == [(("",), 1), (("1970-01-01T01:00Z",), 3), (("1970-01-01T02:00Z",), 1)]
