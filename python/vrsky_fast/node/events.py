"""What has happened on a node, as it is handed on to whoever watches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Self


class Events:
    """Events in their order. Those of a busy node are hundreds a second: they are decoded only for who reads each."""

    def __init__(self, lines: str = "") -> None:
        """`lines`: one JSON object a line."""
        self._lines = lines

    @classmethod
    def of(cls, events: Iterable[dict[str, Any]]) -> Self:
        return cls("".join(f"{json.dumps(event)}\n" for event in events))

    @property
    def as_lines(self) -> str:
        """One JSON object a line, in ASCII: a terminal takes some other characters for commands."""
        return self._lines if self._lines.isascii() else type(self).of(self)._lines

    def may_have(self, code: str) -> bool:
        """Whether one may be of this code; `False` only when none is."""
        return f'"{code}"' in self._lines

    def first(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines.split("\n", count)[:count] if line]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines.split("\n")[:-1])

    def __len__(self) -> int:
        return self._lines.count("\n")
