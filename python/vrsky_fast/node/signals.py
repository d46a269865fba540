"""The signals of a run.

The first SIGINT or SIGTERM drains: no new messages, those in hand are finished, the rest stays in its
stream and goes on at the next start. The second one ends the process at once, which loses nothing
either, but lets the next start deliver some messages again.

SIGHUP reads all files again. Where it says that the terminal has gone, it is a request to stop as well, unless
`nohup` says otherwise.

SIGUSR1 asks for the stats of all pipelines.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ..control.server import Server

FORCED = 130


class Stop:
    """Whether a signal came: to stop, to reload, or to report."""

    def __init__(self, before_force: Callable[[], None], terminal: bool = False) -> None:
        self.asked = asyncio.Event()
        self.reload = asyncio.Event()
        self.report = asyncio.Event()
        self.server: Server | None = None
        self._before_force, self._terminal = before_force, terminal

    def on_signal(self) -> None:
        if self.asked.is_set():
            self.force()
        self.asked.set()

    def on_hang_up(self) -> None:
        if self._terminal and not _has_terminal():
            self.on_signal()
        else:
            self.reload.set()

    def force(self) -> NoReturn:
        """Ends the process without waiting for anything but its last lines. The server would outlive it."""
        if self.server is not None:
            self.server.kill()
        self._before_force()
        os._exit(FORCED)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextmanager
def stop_signals(before_force: Callable[[], None]) -> Iterator[Stop]:
    """Heard while the context is open, also where they are blocked outside. `before_force` is called before a second
    signal ends the process; it never raises.

    The context is the end of a run. After it SIGHUP and SIGUSR1 do nothing, and another request to stop ends the
    process at once: by default each would end it, by way of whichever thread does not block it."""
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    loop, stop = asyncio.get_running_loop(), Stop(before_force, not nohup and _has_terminal())
    stops = (signal.SIGINT, signal.SIGTERM)
    for sign in stops:
        loop.add_signal_handler(sign, stop.on_signal)
    # The loop would take its own handlers away at its end, and the default would be back for a moment.
    others = {signal.SIGHUP: stop.on_hang_up, signal.SIGUSR1: stop.report.set}
    for sign, then in others.items():
        signal.signal(sign, _calling(loop, then))
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {*stops, *others})
    try:
        yield stop
    finally:
        for sign in others:
            signal.signal(sign, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for sign in stops:
            loop.remove_signal_handler(sign)
            if stop.asked.is_set():
                signal.signal(sign, lambda *_: os._exit(FORCED))


def _calling(loop: asyncio.AbstractEventLoop, then: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    def handler(_sign: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(then)

    return handler
