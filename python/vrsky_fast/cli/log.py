"""The lines of a run, written by a thread: a reader that stands still holds up nothing but the lines.

display ──► write ──► texts that wait ──► thread ──► os.write
                        1 MB: `is_behind`, and the node is not polled
                        8 MB: lines are dropped, and counted
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import sys
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Protocol, Self, TextIO

from .terminal import Output

_MAX_BEHIND = 1_000_000
_MAX_WAITING = 8_000_000
# Without progress. At the bound, a burst of lines waits for a reader that reads; at the end, everything does.
_FULL_SECONDS = 0.5
_END_SECONDS = 5.0
# In all: a forced end is soon.
_FORCED_SECONDS = 1.0
_PART = 65_536
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class PacedOutput(Output, Protocol):
    """What a display of a run writes to. All of it may raise what an earlier text has met."""

    def is_behind(self) -> bool:
        """Whether so much waits for the reader that only what is rare should be written."""

    def dropped(self) -> int:
        """Lines dropped since the last call; 0 while the reader is behind. Everything is dropped until it was asked
        for, so that what the caller says of it stands in the place of the lines."""

    def drain(self) -> bool:
        """Whether everything was written before the reader took nothing for some seconds. Never raises."""

    def drain_at_once(self) -> None:
        """The same for a process that is about to end by force. Never raises."""


class Log:
    """A stream that never holds up the one who writes. A text is written by one call, unless a pipe cannot hold it.

    What a full disk does not take is left out: a run goes on without its log. Every other error of a text is raised
    by what is called next. At the end of the context, what a reader does not take goes nowhere, as does everything
    after it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: deque[bytes] = deque()
        # Bytes, with those of the text that is being written.
        self._waiting = 0
        self._parts_written = 0
        self._dropped = 0
        self._error: OSError | None = None
        self._has_stalled = self._is_closed = False
        self._changed = Condition()
        # One that waits for its reader keeps no process from ending.
        self._thread = Thread(target=self._run, name="log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        is_done = self.drain()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if not is_done:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        elif kind is None:
            self._raise()

    def write(self, text: str) -> None:
        # A character that cannot be encoded stops no run.
        data = text.encode(errors="backslashreplace")
        with self._changed:
            self._drop_live()
            is_full = self._is_full()
            self._raise()
            if is_full:
                self._dropped += data.count(b"\n")
                return
            self._texts.append(data)
            self._waiting += len(data)
            self._changed.notify_all()

    def flush(self) -> None:
        """Nothing is held back longer than it has to be."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def is_behind(self) -> bool:
        with self._changed:
            self._raise()
            return self._waiting > _MAX_BEHIND

    def dropped(self) -> int:
        with self._changed:
            self._raise()
            if self._waiting > _MAX_BEHIND:
                return 0
            dropped, self._dropped = self._dropped, 0
            return dropped

    def drain(self) -> bool:
        with self._changed:
            # It is waited for once.
            seconds = 0.0 if self._has_stalled else _END_SECONDS
            is_done = self._wait_while_it_reads(lambda: not self._waiting, seconds)
            self._has_stalled = not is_done
            return is_done

    def drain_at_once(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, _FORCED_SECONDS)

    def _drop_live(self) -> None:
        """A live line that still waits is one that the next text would erase."""
        if self._texts and b"\n" not in self._texts[-1]:
            self._waiting -= len(self._texts.pop())

    def _is_full(self) -> bool:
        if self._dropped:
            return True
        return not self._wait_while_it_reads(lambda: self._waiting < _MAX_WAITING, _FULL_SECONDS)

    def _wait_while_it_reads(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Whether it is done before nothing is written for so long."""
        while not is_done():
            before = self._parts_written
            if not self._changed.wait_for(lambda: is_done() or self._parts_written != before, seconds):  # noqa: B023
                return False
        return True

    def _raise(self) -> None:
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror)

    # -- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            part = _part_of(self._stream.fileno())
            while text := self._next():
                self._put(text, part)
        except OSError as error:
            with self._changed:
                self._error = error
                self._texts.clear()
                self._waiting = 0
                self._changed.notify_all()

    def _next(self) -> bytes:
        """As many texts as a pipe takes undivided, at least one: a call each costs too much. Empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._texts or self._is_closed)
            some, length = list[bytes](), 0
            while self._texts and (not some or length + len(self._texts[0]) <= select.PIPE_BUF):
                some.append(self._texts.popleft())
                length += len(some[-1])
            return b"".join(some)

    def _put(self, text: bytes, part: int) -> None:
        rest = memoryview(text)
        while rest:
            try:
                # Past Python's buffer, which would keep what failed and fail again at the end.
                written = os.write(self._stream.fileno(), rest[:part])
            except OSError as error:
                if error.errno not in _DISK_FULL:
                    raise
                written = len(rest)
            rest = rest[written:]
            with self._changed:
                self._waiting -= written
                self._parts_written += 1
                self._changed.notify_all()


def _part_of(descriptor: int) -> int:
    """How much is written by one call, which shows progress at its end. A pipe takes no more in one piece."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return sys.maxsize
    try:
        return int(fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ))
    except (AttributeError, OSError):
        return _PART
