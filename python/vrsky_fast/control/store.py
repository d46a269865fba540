"""The embedded server's store: how much room it has, and whether it still writes.

A stream that met a full disk once keeps that error and answers no publish any more, also when the disk
has room again (nats-server 2.15); only a restart of the server helps. What it says in its log is the
only sign of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SIGN = b"Critical write error"
# Room enough to go on: this much, or a twentieth of a small disk.
_ROOM = 64 * 1024 * 1024
# What a server writes before it listens.
_LITTLE = 256 * 1024


def room(store: Path) -> int:
    """Bytes that the streams below this folder may take together: what they have, and what is free."""
    taken = sum(_taken(Path(folder, name)) for folder, _, names in os.walk(store) for name in names)
    return taken + shutil.disk_usage(store).free


def _taken(file: Path) -> int:
    try:
        return file.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0  # deleted meanwhile


class StoreWatch:
    """Reads what the log grows by; remembers that a stream has given up until `mended`."""

    def __init__(self, log: Path, data: Path) -> None:
        self._log, self._data = log, data
        self._read = self._size()
        self._rest = b""
        self.broken = False

    def look(self) -> bool:
        """True when a stream has given up since the last look, for the first time."""
        was = self.broken
        try:
            size = self._size()
            if size < self._read:
                self._read = 0  # rotated
            with self._log.open("rb") as file:
                file.seek(self._read)
                new = self._rest + file.read()
        except OSError:
            return False
        self._read = size
        # The sign may be cut in two by the end of the file.
        self._rest = new[-len(_SIGN) :]
        self.broken = was or _SIGN in new
        return self.broken and not was

    def has_room(self) -> bool:
        """Whether the disk could take a server's writes again."""
        return self._has(_ROOM)

    def has_a_little_room(self) -> bool:
        """Whether a server could start."""
        return self._has(_LITTLE)

    def _has(self, wanted: int) -> bool:
        try:
            usage = shutil.disk_usage(self._data)
        except OSError:
            return False
        return usage.free >= min(wanted, usage.total // 20)

    def mended(self) -> None:
        """Before a server starts: everything said so far is of the past."""
        self.broken, self._rest, self._read = False, b"", self._size()

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0
