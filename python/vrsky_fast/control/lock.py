"""One process per data folder, held by flock: the kernel releases it however the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import error_for

FOR_A_MOMENT = "reads"
"""The note of those who are done in a moment, such as `vrsky dlq`. A run waits for them."""

_MOMENT_SECONDS = 30.0
_PAUSE_SECONDS = 0.05


class Lock:
    """An exclusive lock on a file. With `inherited` a child process that gets the descriptor holds the
    lock too, for as long as it lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1

    def try_acquire(self) -> bool:
        """False when another process holds it. Never blocks."""
        # 0600: the folder may be readable by others.
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self.descriptor = descriptor
        return True

    def note(self, text: str) -> None:
        """Writes who holds it, for the message of the one who does not get it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@contextmanager
def on_disk(data: Path) -> Iterator[None]:
    """What the system refuses there, such as a write to a full disk, is a ConfigError about the data
    folder."""
    try:
        yield
    except OSError as error:
        reason = f"the data folder {data} cannot be used: {error.strerror}"
        raise error_for("config/data-folder-unusable", reason) from None


class DataFolder:
    """The folder of one run, locked while it is open. Raises ConfigError `config/data-folder-in-use`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock = Lock(self.path / "lock")

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def files(self) -> Path:
        return self.path / "files"

    def try_lock(self, note: str = "") -> bool:
        """False when another process holds it. Raises ConfigError when the folder cannot be used at all."""
        with on_disk(self.path):
            self.nats.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.files.mkdir(exist_ok=True)
            if not self._lock.try_acquire():
                return False
            try:
                self._lock.note(f"{os.getpid()} {note}\n")
            except OSError:
                self._lock.release()
                raise
        return True

    def unlock(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        until = time.monotonic() + _MOMENT_SECONDS
        seen: list[str] = []
        while not self.try_lock():
            # Whoever has just got the lock has yet to write its note: one counts that still stands there at a
            # second look, and none is not the last word.
            before, seen = seen, _note(self._lock.path)
            if (seen != before or not seen or seen[1:] == [FOR_A_MOMENT]) and time.monotonic() < until:
                time.sleep(_PAUSE_SECONDS)
                continue
            raise error_for("config/data-folder-in-use", f"{self.path} is used by {_holder(self._lock.path)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()


def is_used(data: Path) -> bool:
    """Whether a run works on this folder now; one who is done in a moment does not count."""
    lock = Lock(data / "lock")
    try:
        if not lock.path.exists():
            return False
        if lock.try_acquire():
            lock.release()
            return False
    except OSError:
        return False
    return _note(lock.path)[1:] != [FOR_A_MOMENT]


def _holder(path: Path) -> str:
    words = _note(path)
    return f"process {words[0]}" if words and words[0].isdecimal() else "another process"


def _note(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except (OSError, ValueError):
        return []
