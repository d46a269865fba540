"""Standard output whose failures can be told from every other failed call of the system."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Unwritable(Exception):
    """What a verb has to say does not reach its reader: a full disk, a device that is gone."""


class _Descriptor(io.FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Unwritable(error.strerror) from error


def guard() -> None:
    """From here on, standard output raises `Unwritable`, or BrokenPipeError when its reader has gone."""
    if sys.stdout is None:
        # Closed by the shell's `>&-`: nobody wants to know.
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.devnull, "w")))
        return
    given = sys.stdout
    assert isinstance(given, io.TextIOWrapper)
    raw = _Descriptor(given.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw), given.encoding, given.errors, line_buffering=given.line_buffering
    )


def give_up() -> None:
    """What could not be written is still held, and would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
