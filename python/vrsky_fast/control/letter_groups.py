"""Dead letters counted by what they have in common."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .dead_letters import DeadLetter


def _hour(letter: DeadLetter) -> str:
    """When it died, to the hour, as ISO 8601 in UTC; empty when that is not known."""
    if not letter.died_ms:
        return ""
    return datetime.fromtimestamp(letter.died_ms / 1000, UTC).strftime("%Y-%m-%dT%H:00Z")


COMMON: Mapping[str, Callable[[DeadLetter], str]] = {
    "customer": lambda letter: letter.customer,
    "pipeline": lambda letter: letter.pipeline,
    "step": lambda letter: letter.step,
    "code": lambda letter: letter.code,
    "hour": _hour,
}
"""What they may have in common, in the order in which it is shown."""


@dataclass
class Group:
    """`values` are those of the keys; times are 0 where none is known; `newest` is the number of one to look at."""

    values: tuple[str, ...]
    count: int = 0
    first_died_ms: int = 0
    last_died_ms: int = 0
    newest: int = 0

    def add(self, letter: DeadLetter) -> None:
        died = letter.died_ms
        self.count += 1
        if died:
            self.first_died_ms = min(self.first_died_ms or died, died)
            self.last_died_ms = max(self.last_died_ms, died)
        self.newest = letter.sequence


async def grouped(letters: AsyncIterable[DeadLetter], keys: Sequence[str]) -> list[Group]:
    """The largest group first; with `hour` among the keys, hour by hour. `keys` are some of COMMON."""
    groups: dict[tuple[str, ...], Group] = {}
    async for letter in letters:
        values = tuple(COMMON[key](letter) for key in keys)
        groups.setdefault(values, Group(values)).add(letter)
    found = sorted(groups.values(), key=lambda one: (-one.count, one.values))
    if "hour" in keys:
        hour = keys.index("hour")
        found.sort(key=lambda one: one.values[hour])
    return found
