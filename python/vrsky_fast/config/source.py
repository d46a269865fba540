"""A file's text by lines, and places in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

# The line breaks that libyaml counts, so that its line numbers find our lines.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


class Mark(NamedTuple):
    """A place in a file: line and column are 1-based, the column counts characters. There are two for each scalar, so
    that it is a tuple: nothing else is made as quickly."""

    line: int
    column: int

    def right(self, characters: int) -> Mark:
        return Mark(self.line, self.column + characters)


@dataclass(frozen=True)
class Source:
    """`name` is the file as the user named it."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return _BREAK.split(self.text)

    def line(self, number: int) -> str | None:
        """The text of a 1-based line; None outside the file."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else None

    def at(self, start: Mark, end: Mark) -> str | None:
        """What stands between two places of one line; None if they are on different lines."""
        line = self.line(start.line)
        if line is None or start.line != end.line:
            return None
        return line[start.column - 1 : end.column - 1]

    def mark(self, index: int) -> Mark:
        """The place of the character at a 0-based index."""
        before = _BREAK.split(self.text[:index])
        return Mark(len(before), len(before[-1]) + 1)
