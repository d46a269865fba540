"""A process of ours that outlived the run that started it: is it still the same, and its end.

A pid alone proves nothing, since the kernel gives it away again. A process is ours only when its start
time and its command line are those that were written down.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """`started` is opaque: equal for the same process, different for another one with the same pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """None when there is no such process (any more)."""
        started = _started(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def runs(self, argument: str) -> bool:
        """Whether its command line has this argument."""
        return self.alive() and argument in _command_line(self.pid)

    def end(self, seconds: float) -> bool:
        """Asks it to end, and ends it by force after `seconds`. Blocks until it is gone; False when it
        does not go."""
        for sign, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
            if not self.alive():
                return True
            try:
                with _Handle(self.pid) as handle:
                    # Asked again: the handle names one process for good, the number does not.
                    if not self.alive():
                        return True
                    handle.send(sign)
                    handle.wait(patience)
            except ProcessLookupError:
                return True
        return not self.alive()


class _Handle:
    """A process that cannot be mistaken for a later one of the same number, where the system has such
    a thing (Linux: pidfd)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.descriptor = os.pidfd_open(pid) if sys.platform == "linux" else -1

    def __enter__(self) -> _Handle:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)

    def send(self, sign: signal.Signals) -> None:
        if sys.platform == "linux":
            signal.pidfd_send_signal(self.descriptor, sign)
        else:
            os.kill(self.pid, sign)

    def wait(self, seconds: float) -> None:
        if self.descriptor >= 0:
            # Readable when the process has ended.
            poll = select.poll()
            poll.register(self.descriptor, select.POLLIN)
            poll.poll(seconds * 1000)
            return
        until = time.monotonic() + seconds
        while _started(self.pid) is not None and time.monotonic() < until:
            time.sleep(0.02)


def _started(pid: int) -> str | None:
    if sys.platform != "linux":
        return _ps(pid, "lstart=")
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold anything; what follows it is: state, parent, ... start time.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent has not asked yet.
    return None if fields[0] == "Z" else fields[19]


def _command_line(pid: int) -> list[str]:
    if sys.platform != "linux":
        return (_ps(pid, "command=") or "").split()
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _ps(pid: int, what: str) -> str | None:
    found = subprocess.run(["ps", "-o", what, "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
