"""The signals that end a run.

The first SIGINT or SIGTERM drains: no new messages, those in hand are finished, the rest stays in its
stream and goes on at the next start. The second one ends the process at once, which loses nothing
either, but lets the next start deliver some messages again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from ..control.server import Server

FORCED = 130


class Stop:
    """Whether a signal came."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.server: Server | None = None

    def on_signal(self) -> None:
        if self.asked.is_set():
            self.force()
        self.asked.set()

    def force(self) -> NoReturn:
        """Ends the process without waiting for anything. The server would outlive it."""
        if self.server is not None:
            self.server.kill()
        os._exit(FORCED)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Heard while the context is open."""
    loop, stop = asyncio.get_running_loop(), Stop()
    # The terminal that goes away is a request to stop as well, unless `nohup` says otherwise.
    hang_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    signals = [signal.SIGINT, signal.SIGTERM, *hang_up]
    for sign in signals:
        loop.add_signal_handler(sign, stop.on_signal)
    try:
        yield stop
    finally:
        for sign in signals:
            loop.remove_signal_handler(sign)
