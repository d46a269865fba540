"""A folder of pipeline files as the origin: looked at a few times a second, or when a signal asks for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..config import Problem
from ..config.folder import nothing_in
from .disk import Disk
from .leases import Member
from .origin import MakeOrigin
from .polling import Watcher, pause_after
from .profile import Profile
from .reconcile import Finding
from .settings import Settings
from .signals import Stop
from .states import Check, State

# Between two looks.
_LEAST_SECONDS, _MOST_SECONDS = 0.25, 10.0


class Folder:
    """An `Origin`. Without `watch` only a signal makes it read again."""

    def __init__(self, disk: Disk, watch: bool) -> None:
        self._disk, self._watch = disk, watch
        self._pace = _Pace(disk)

    @property
    def states(self) -> Mapping[str, State]:
        return self._disk.states

    @property
    def deployment(self) -> None:
        """A folder says nothing of other nodes."""
        return None

    @property
    def closed(self) -> tuple[str, ...]:
        return ()

    @property
    def member(self) -> Member | None:
        return None

    @property
    def follows(self) -> Mapping[str, int]:
        return {}

    @property
    def if_empty(self) -> Problem | None:
        return nothing_in(self._disk.path)

    async def first(self, stop: Stop) -> bool:
        looking = asyncio.create_task(asyncio.to_thread(self._disk.look, True))
        asked = asyncio.create_task(stop.asked.wait())
        await asyncio.wait([looking, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not looking.done():
            self._disk.give_up()
        await looking
        return not stop.asked.is_set()

    async def changed(self, stop: Stop) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.reload.wait(), self._pace.pause())
        asked = stop.reload.is_set()
        stop.reload.clear()
        return (asked or self._watch) and await asyncio.to_thread(self._pace.look, asked)

    def handled(self, findings: Sequence[Finding], running: int, profile: Profile) -> None:
        """Nobody waits for it."""

    def report_canaries(self, canaries: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Files have none."""

    async def close(self) -> None:
        self._disk.give_up()


def of_folder(path: Path) -> MakeOrigin:
    """The files of `path`, a file or a folder."""

    def make(check: Check, settings: Settings, _watcher: Watcher) -> Folder:
        return Folder(Disk(path, settings.secrets, check, given=settings.given), settings.watch)

    return make


class _Pace:
    """Looks at all files are rare where there are thousands; at those that change it looks again soon."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._due = time.monotonic() + _LEAST_SECONDS

    def pause(self) -> float:
        return _LEAST_SECONDS if self._disk.is_unsettled else max(self._due - time.monotonic(), 0)

    def look(self, everything: bool) -> bool:
        """Whether something has changed. The pause after it is by the processor time of this thread: a look that waits
        for its turn on a busy machine costs nothing. Reading does not count, since it is as rare as changes are."""
        if time.monotonic() < self._due and not everything:
            return self._disk.look_again()
        began = time.thread_time()
        changed = self._disk.look(everything)
        took = time.thread_time() - began - self._disk.reading_took
        self._due = time.monotonic() + pause_after(took, _LEAST_SECONDS, _MOST_SECONDS)
        return changed
