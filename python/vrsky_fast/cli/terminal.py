"""Writing for people: colours only on a terminal, control characters never, one live line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from ..config.problem import Problem, visible

_RESET = "\x1b[0m"
_ERASE_LINE = "\r\x1b[2K"


class Output(Protocol):
    """What a `Terminal` needs of a stream."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> None: ...
    def isatty(self) -> bool: ...


class Terminal:
    """`stream` is standard output for what a verb was asked for, and standard error for what it says beside."""

    def __init__(self, stream: Output) -> None:
        self.stream = stream
        # A dumb terminal knows no control sequences at all; NO_COLOR is about colours only.
        self.redraws = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colours = self.redraws and not os.environ.get("NO_COLOR")
        self._live = ""

    def line(self, text: str = "") -> None:
        """`text` is ours, or has been through `safe`."""
        self._write(f"{text}\n")

    def live(self, text: str) -> None:
        """Replaces the last line in place; other lines appear above it. Only where `redraws`."""
        width = shutil.get_terminal_size().columns - 1
        self._live = text[:width]
        self._write("")

    def end_live(self) -> None:
        if self._live:
            self._live = ""
            self._write("")

    def problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.line(problem.text(self.bad))

    def bad(self, text: str) -> str:
        return self._paint("31", text)

    def good(self, text: str) -> str:
        return self._paint("32", text)

    def warning(self, text: str) -> str:
        return self._paint("33", text)

    def quiet(self, text: str) -> str:
        return self._paint("2", text)

    def strong(self, text: str) -> str:
        return self._paint("1", text)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}{_RESET}" if self._colours else text

    def _write(self, text: str) -> None:
        if self.redraws:
            text = _ERASE_LINE + text + self._live
        self.stream.write(text)
        self.stream.flush()


def safe(text: object) -> str:
    """Text from messages and files, with control characters escaped: it cannot drive the terminal."""
    return visible(str(text))


def moment(time_ms: int) -> str:
    """Date and time of day here; `-` for 0, which is none."""
    return datetime.fromtimestamp(time_ms / 1000).strftime("%Y-%m-%d %H:%M:%S") if time_ms else "-"
