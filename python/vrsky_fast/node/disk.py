"""Pipeline files, their scripts and secrets as they are on the disk, read again when they change.

A look compares what the file system says of each file (time, size, inode) with what it said when the file was read.
It needs no notifications, which are lost on network file systems and say little about the symlinks of a Kubernetes
mount. What has changed is read when it is the same in two looks, so that a half-written file is not taken; what changes
all the time is read after a while nevertheless, and taken when it is right. Each file is looked at before and after it
is read: what changes meanwhile, or a mount that is switched, is not taken, so that a pipeline never has a script of one
version and a secret of another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..config import InvalidConfig, PipelineFile, Problem
from ..config.files import Stat, stat_of
from ..config.folder import find_in, is_below, read_each
from ..config.variables import NOTHING
from .states import Broken, Check, Ready, State, judge, says_the_same, secret_files

# What changes for so long without a pause is read in between.
_HASTE_SECONDS = 2.0
# As often what changes while it is read is read again at once, where everything is to be read.
_ROUNDS = 3
# The clock of a file system may be a tick behind: two changes within one have the same time.
_TICK_SECONDS = 0.05


@dataclass(slots=True)
class _Known:
    """What was read of a file, and how the disk was before: the file itself, and what it names. It is read once more
    when something may have changed since without another time; `since` is when it was read first with these stats."""

    state: State
    own: Stat
    others: dict[str, Stat]
    since: float
    is_sure: bool

    def is_as(self, own: Stat, others: Mapping[str, Stat]) -> bool:
        return self.own == own and self.others == others


@dataclass(slots=True)
class _Change:
    """How the disk was at the last look, since when it has not been as it was read, and whether it is quiet."""

    seen: tuple[Stat, ...]
    since: float
    quiet: bool = False


class Disk:
    """All pipeline files of `path`. `check` says what else speaks against serving one, `given` are the operator's
    variables."""

    def __init__(
        self,
        path: Path,
        secrets: Path | None,
        check: Check,
        clock: Callable[[], float] = time.monotonic,
        given: Mapping[str, str] = NOTHING,
    ) -> None:
        self.path = path
        self._given = given
        self._secrets, self._check, self._clock = secrets, check, clock
        self._is_folder = os.path.isdir(path)  # noqa: PTH112 - which raises nothing
        self._given_up = False
        self._known: dict[str, _Known] = {}
        self._faults: dict[str, Broken] = {}
        self._changing: dict[str, _Change] = {}
        self._missing: set[str] = set()
        self.reading_took = 0.0
        """Processor time, seconds, of the thread of the last look that went into reading what had changed."""

    @property
    def states(self) -> dict[str, State]:
        """By path, in its order; folders that cannot be read among them."""
        return {name: self._known[name].state for name in sorted(self._known)} | self._faults

    def look(self, everything: bool = False) -> bool:
        """Whether `states` have changed, or their files. With `everything` all files are read, without waiting for
        their quiet, and what is refused may be tried again."""
        found, problems = self._find()
        changed = self._note(problems)
        names = dict.fromkeys(found)
        self._missing = {name for name in self._known if name not in names and not self._is_hidden(name)}
        for name in self._changing.keys() - names.keys() - self._missing:
            del self._changing[name]
        return self._take(names, list(self._missing), everything) or changed or everything

    def give_up(self) -> None:
        """Ends a look in another thread early."""
        self._given_up = True

    @property
    def is_unsettled(self) -> bool:
        """Whether a file was found to change, and is to be the same in another look."""
        return bool(self._changing)

    def look_again(self) -> bool:
        """`look` at the files alone that were found to change."""
        there = {name for name in self._changing if os.path.lexists(name)}
        # What has gone since is for the next look.
        gone = self._missing & self._changing.keys() - there
        return self._take(sorted(there - self._missing), gone, False)

    def _take(self, names: Iterable[str], gone: Iterable[str], everything: bool) -> bool:
        due = [name for name in names if self._is_due(name) or everything]
        began = time.thread_time()
        changed = self._read(due, everything)
        self.reading_took = time.thread_time() - began
        for name in gone:
            if self._is_due(name) or everything:
                del self._known[name]
                self._changing.pop(name, None)
                changed = True
        return changed

    def _find(self) -> tuple[list[str], list[Problem]]:
        if not self._is_folder:
            return [str(self.path)], []
        if not os.path.isdir(self.path):  # noqa: PTH112 - which raises nothing
            reason, hint = "the folder is not there any more", "Put it back."
            return [], [Problem("config/file-not-found", reason, str(self.path), hint=hint)]
        return find_in(self.path)

    def _note(self, problems: Iterable[Problem]) -> bool:
        """What cannot be looked into. Files in there are not gone for that."""
        now = {problem.file: self._as_before(problem) for problem in problems}
        changed = now != self._faults
        self._faults = now
        return changed

    def _as_before(self, problem: Problem) -> Broken:
        before = self._faults.get(problem.file)
        return before if before is not None and before.problems == (problem,) else Broken((problem,))

    def _is_hidden(self, name: str) -> bool:
        return any(is_below(name, folder) for folder in self._faults)

    def _is_due(self, name: str) -> bool:
        """Whether it is not as it was read, and was so at the last look already."""
        known = self._known.get(name)
        seen: tuple[Stat, ...] = (stat_of(name),)
        if known is not None:
            if known.others:
                seen += tuple(map(stat_of, known.others))
            if known.is_sure and seen[0] == known.own and seen[1:] == tuple(known.others.values()):
                self._changing.pop(name, None)
                return False
        now, change = self._clock(), self._changing.get(name)
        if change is None:
            self._changing[name] = _Change(seen, now)
            return False
        change.quiet = change.seen == seen
        change.seen = seen
        return change.quiet or now - change.since >= _HASTE_SECONDS

    def _read(self, names: list[str], everything: bool) -> bool:
        """Whether something was taken that is new, or another file. What changes meanwhile is for the next look."""
        changed, left = self._read_once(names, everything)
        for rest in reversed(range(_ROUNDS if everything else 0)):
            if left:
                # At last a new file is taken as it is: it is not to be left out without a word.
                more, left = self._read_once(left, True, takes_new=rest == 0)
                changed |= more
        return changed

    def _read_once(self, names: list[str], everything: bool, takes_new: bool = False) -> tuple[bool, list[str]]:
        """Also the names of what has changed meanwhile."""
        began, clock = time.time_ns(), self._clock()
        before = {name: stat_of(name) for name in names}
        changed, left = False, list[str]()
        for name, read in zip(names, read_each(names, self._given), strict=True):
            if self._given_up:
                break
            state, others = self._judge(name, read)
            if before[name] != stat_of(name) or any(stat_of(other) != stat for other, stat in others.items()):
                left.append(name)
                if not (takes_new and name not in self._known):
                    continue
            change = self._changing.get(name)
            if everything or (change is not None and change.quiet) or isinstance(state, Ready):
                changed |= self._keep(name, _Known(state, before[name], others, clock, _is_old(others, began)))
        return changed, left

    def _keep(self, name: str, new: _Known) -> bool:
        """Whether it says something new, or of another file."""
        known = self._known.get(name)
        self._changing.pop(name, None)
        self._known[name] = new
        if known is None:
            return True
        is_as_before = known.is_as(new.own, new.others)
        if is_as_before:
            # Whatever the clocks say: what was done within the tick of these stats was done before this reading.
            new.is_sure |= new.since - known.since >= _TICK_SECONDS
            new.since = known.since
        # A fault is reported again at each change of its file.
        is_news = isinstance(new.state, Broken) and not is_as_before
        if not is_news and says_the_same(known.state, new.state):
            new.state = known.state
        return not is_as_before or new.state is not known.state

    def _judge(self, name: str, read: PipelineFile | InvalidConfig) -> tuple[State, dict[str, Stat]]:
        """Its state, and the files that it names, each as it was before it was read."""
        if isinstance(read, InvalidConfig):
            return Broken(read.problems), read.beside
        # The files of its secrets are looked at before they are read.
        others = dict(read.beside) | secret_files(read, self._secrets)
        return judge(read, name, self._check, self._secrets), others


def _is_old(others: Mapping[str, Stat], began_ns: int) -> bool:
    """Whether another change of any of these would have another time. A clock that is behind denies it for long."""
    border = began_ns - int(_TICK_SECONDS * 1e9)
    return all(stat is None or stat[1] < border for stat in others.values())
